"""One file that a web server gives.

What other kinds of source share that speak HTTP is `WebSource`: they say which headers a request has.
"""

import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from components.shared.errors import SourceError
from components.shared.sources import base
from components.shared.sources.table_files import CHUNK_BYTES, TableFile, place_for

HTTP_SECONDS = 30.0  # how long a server may stay silent


class WebSource(base.Source):
    """A table in one file behind an address."""

    schemes = ("http", "https")

    path: str = Field(
        description="Where the table is: http(s)://…", json_schema_extra={"pattern": "^[hH][tT][tT][pP][sS]?://"}
    )

    def request_headers(self) -> dict[str, str]:
        """The headers of each request, by name."""
        return {"User-Agent": "fullcircle"}

    def read(self, scratch: Path) -> list[TableFile]:
        """The file, downloaded."""
        name = PurePosixPath(unquote(urlsplit(self.path).path)).name or "download"
        path = place_for(name, scratch)
        try:
            with self._opened() as response, path.open("wb") as file:
                shutil.copyfileobj(response, file, CHUNK_BYTES)
                promised = response.headers.get("Content-Length")
        except urllib.error.HTTPError as error:
            raise SourceError(
                f"{self.path} answered {error.code} {error.reason}; expected the file. Check the address and who may "
                "read it."
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SourceError(f"{self.path} could not be downloaded: {_network_cause(error)}.") from error
        if promised and path.stat().st_size != int(promised):
            raise SourceError(
                f"{self.path} broke off after {path.stat().st_size:,} of {int(promised):,} bytes. Try again."
            )
        return [TableFile(self.path, path)]

    def fingerprint(self) -> base.Fingerprint:
        """What the server says: ETag or time of change; without both the content, and where that is long, the time."""
        try:
            opened = self._opened()
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(str(error)) from error
        with opened as response:
            said = {name: response.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")}
            if said["ETag"] or said["Last-Modified"]:
                return base.Fingerprint("what its server says", said)
            content = response.read(base.SMALL + 1)
        if len(content) > base.SMALL:
            return base.Fingerprint("the time", time.time_ns())
        return base.Fingerprint("its content", hashlib.sha256(content).hexdigest())

    def _opened(self) -> Any:
        """The server's answer, to be read and closed."""
        _ = urlsplit(self.path).port  # a ValueError where there is no such port: of 99999 the system makes 34463
        request = urllib.request.Request(self.path, headers=self.request_headers())
        try:
            return urllib.request.urlopen(request, timeout=HTTP_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            raise


class HttpSource(WebSource):
    """A table in one file that anybody may fetch."""

    kind: Literal["http"] = Field(default="http", description="One file behind an address.")


def _network_cause(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {HTTP_SECONDS:g} s. Check the address and the network"
    if isinstance(reason, ConnectionRefusedError):
        return "nothing answers there (connection refused). Check host and port, and that the server runs"
    if isinstance(reason, http.client.HTTPException):
        return f"what answers there does not speak HTTP ({str(reason).strip()!r}). Check host and port"
    return f"{reason}. Check the address and the network"
