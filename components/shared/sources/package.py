"""A file inside an installed Python package, such as a data set that comes as one."""

import importlib.util
from pathlib import Path
from typing import Literal

from pydantic import Field

from components.shared.errors import SourceError
from components.shared.sources.base import Fingerprint, Source
from components.shared.sources.files import file_fingerprints, local_files
from components.shared.sources.table_files import TableFile


class PackageSource(Source):
    """A table in files of an installed Python package."""

    schemes = ("package",)

    kind: Literal["package"] = Field(default="package", description="Files inside an installed Python package.")
    path: str = Field(
        description="Where the table is: package://module/path; globs and folders as of files.",
        json_schema_extra={"pattern": "^package://"},
    )

    def read(self, scratch: Path) -> list[TableFile]:
        """The files where they are, in the package that is found without importing it."""
        del scratch
        return local_files(str(_in_package(self._inside)), self)

    def fingerprint(self) -> Fingerprint:
        """As that of files, in each folder that is part of the package."""
        module, _, inside = self._inside.partition("/")
        return Fingerprint(
            "its files", [found for root in _roots(module) for found in file_fingerprints(str(root / inside))]
        )

    @property
    def _inside(self) -> str:
        return self.path.partition("://")[2]


def _roots(module: str) -> list[Path]:
    """The folders of a package; none when it is not there."""
    # A dotted name would make Python import the package around it.
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    return [Path(root) for root in (spec.submodule_search_locations or [])] if spec else []


def _in_package(rest: str) -> Path:
    module, _, inside = rest.partition("/")
    roots = _roots(module)
    if not roots:
        problem = "is not an installed package" if module.isidentifier() else "is not the name of a top-level package"
        raise SourceError(
            f"package://{rest}: {module!r} {problem}; expected package://module/path. Install it (pip install) "
            "or correct the name."
        )
    return next((root / inside for root in roots if (root / inside).exists()), roots[0] / inside)
