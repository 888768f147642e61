"""The interface of a kind of source."""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from pydantic import model_validator

from components.shared.config.table import TableConfig
from components.shared.sources.table_files import TableFile

SMALL = 64 * 1024**2  # bytes up to which content is read for a fingerprint, rather than known by size and time


class Fingerprint(NamedTuple):
    """What a table is at a moment.

    Attributes:
        by: What the value was taken from, for people, such as `its files`.
        value: JSON that is another one when the table has changed.
    """

    by: str
    value: object


class Source(TableConfig):
    """One table: where it is, how it is reached, and how it is written.

    A kind of source is a subclass with a field `kind` that has its name as the only value, listed in `table.SOURCES`.
    What it gives are files on the local disk, of which the table engine makes a typed relation: the window of a run is
    applied there, as it goes by a column of the joined tables and not of one of them.

    Attributes:
        schemes: Schemes of the places that this kind is for; of two kinds with the same one, a place is of the first
            in `table.SOURCES` where `kind` is not given. Empty for paths without a scheme.
        of_requests: Whether its rows are requests that an endpoint logged, which have no columns that are known only
            afterwards, and which the stages' own keys may not read.
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    of_requests: ClassVar[bool] = False

    kind: str

    @model_validator(mode="after")
    def _place_of_the_kind(self) -> Self:
        scheme = self.path.partition("://")[0].lower()
        if self.schemes and scheme not in self.schemes:
            expected = " or ".join(f"{scheme}://…" for scheme in self.schemes)
            raise ValueError(f"`kind: {self.kind}` expects a path such as {expected}; found {self.path!r}")
        return self

    @abstractmethod
    def read(self, scratch: Path) -> list[TableFile]:
        """Bring the files of the table to the local disk.

        Args:
            scratch: An existing folder for copies, which the caller removes. Files that are here stay where they are.

        Returns:
            At least one file, in the order of their names, as they are there: packed and in their own encoding.

        Raises:
            SourceError: There is nothing to read, or it cannot be brought here; the message says what to do.
            StoreError: The object store cannot be reached or refuses.
        """

    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """What the table is at this moment, found by as little reading as possible.

        It may change though the table has not, and never the other way round as far as file systems and servers say
        the truth. A table that is not there has a fingerprint, too: `read` says what is wrong.

        Raises:
            OSError: It cannot be found, which the caller takes for another fingerprint each time.
            StoreError: The object store cannot be reached or refuses: likewise.
        """
