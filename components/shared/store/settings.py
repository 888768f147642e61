"""Where the object store is and how to sign in, from the environment by AWS's standard names.

`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_SESSION_TOKEN`, `AWS_CA_BUNDLE`,
and `FULLCIRCLE_BUCKET` for the bucket.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from components.shared.errors import StoreError

DEFAULT_BUCKET = "fullcircle"
DEFAULT_REGION = "us-east-1"
_REQUIRED = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_SET_IT = "Set what is missing, for instance AWS_ENDPOINT_URL=http://minio.example:9000."
_POD_VARIABLE = "KUBERNETES_SERVICE_HOST"
_IN_A_POD = (
    "A task gets the endpoint from the ConfigMap (fullcircle-store) and the keys from the secret (fullcircle-stages) "
    "that the configuration names under `cluster`: create what is missing in the namespace of the run, then run again."
)


@dataclass(frozen=True)
class StoreSettings:
    """Where the object store is and how to sign in.

    Attributes:
        endpoint: `http://host:port` or `https://host:port`, without a path.
        access_key: The name half of the credentials.
        secret_key: The secret half; never shown by `repr`.
        bucket: The bucket that the project's objects live in.
        region: The region requests are signed for.
        session_token: For temporary credentials; empty otherwise.
        ca_bundle: Path of the certificates an https endpoint is checked against; empty for the usual ones.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = DEFAULT_BUCKET
    region: str = DEFAULT_REGION
    session_token: str = field(default="", repr=False)
    ca_bundle: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "StoreSettings":
        """Read the settings from the environment (of this process by default).

        Raises:
            StoreError: A required variable is missing, or the endpoint is not a URL.
        """
        given = os.environ if environment is None else environment
        missing = [name for name in _REQUIRED if not given.get(name)]
        if missing:
            raise StoreError(
                f"The object store is not configured: expected the environment variables {', '.join(_REQUIRED)}, "
                f"found no {' and no '.join(missing)}. {_IN_A_POD if given.get(_POD_VARIABLE) else _SET_IT}"
            )
        return cls(
            endpoint=_checked_endpoint(given["AWS_ENDPOINT_URL"]),
            access_key=given["AWS_ACCESS_KEY_ID"],
            secret_key=given["AWS_SECRET_ACCESS_KEY"],
            bucket=given.get("FULLCIRCLE_BUCKET") or DEFAULT_BUCKET,
            region=given.get("AWS_REGION") or DEFAULT_REGION,
            session_token=given.get("AWS_SESSION_TOKEN", ""),
            ca_bundle=given.get("AWS_CA_BUNDLE", ""),
        )

    def environment(self) -> dict[str, str]:
        """The variables that make `from_environment` give these settings back."""
        # An empty token hides one that is left over from other work; an empty bundle would turn off others' checks.
        certificates = {"AWS_CA_BUNDLE": self.ca_bundle} if self.ca_bundle else {}
        return certificates | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_SESSION_TOKEN": self.session_token,
            "FULLCIRCLE_BUCKET": self.bucket,
        }


def _checked_endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.path.strip("/") or parts.query or parts.username:
        raise StoreError(f"AWS_ENDPOINT_URL: expected http://host:port or https://host:port, found {url!r}.")
    return f"{parts.scheme}://{parts.netloc}"
