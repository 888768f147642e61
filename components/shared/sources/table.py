"""The kinds of source: a new one is a file beside this one, and a line here.

The configuration is checked before anything is fetched, and a mistake has to be told about the kind of source that is
meant, not about all of them. So the kind is stated or follows from the scheme of the place, and pydantic then checks
that kind alone. The same table can be moved to another place by `paths`, even of another kind.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args

from pydantic import Discriminator, Tag, TypeAdapter

from components.shared.config.table import TableConfig
from components.shared.sources.base import Source
from components.shared.sources.files import FilesSource
from components.shared.sources.http import HttpSource
from components.shared.sources.log import LogSource
from components.shared.sources.package import PackageSource
from components.shared.sources.s3 import S3Source

SOURCES: tuple[type[Source], ...] = (
    FilesSource,
    HttpSource,
    S3Source,
    PackageSource,
    LogSource,
)
KINDS: dict[str, type[Source]] = {get_args(source.model_fields["kind"].annotation)[0]: source for source in SOURCES}
_TAG = "kind="  # marks a kind's name in the path of a mistake, so that it is not taken for a table's name


def is_tag(part: object) -> bool:
    """Whether a part of a mistake's path is the name of a kind of source and not a key of the configuration."""
    return isinstance(part, str) and part.startswith(_TAG)


# Example: `s3://lake/flights/` is of kind s3, `data/flights.csv` of kind files. `ftp://host/x` has an unknown scheme,
# so it is taken for a file too, and refused there with a list of what is possible.
def kind_at(place: str) -> str:
    """The kind of source that a place is, by its scheme."""
    scheme, separator, _ = place.partition("://")
    kinds = [kind for kind, source in KINDS.items() if scheme.lower() in source.schemes]
    return kinds[0] if separator and kinds else "files"


def _tag(given: object) -> str:
    """The kind that is stated, or else follows from the place."""
    if isinstance(given, Source):
        return f"{_TAG}{given.kind}"
    stated: Any = given.get("kind") if isinstance(given, Mapping) else None
    place: Any = given.get("path", "") if isinstance(given, Mapping) else ""
    return f"{_TAG}{kind_at(str(place)) if stated is None else stated}"


if TYPE_CHECKING:
    AnySource = Source
else:
    AnySource = Annotated[
        Union[tuple(Annotated[source, Tag(f"{_TAG}{kind}")] for kind, source in KINDS.items())],  # noqa: UP007
        Discriminator(_tag),
    ]
_ADAPTER: TypeAdapter[Source] = TypeAdapter(AnySource)


def source_at(place: str, **written: Any) -> Source:
    """A table at a place, of the kind that the place is.

    Args:
        place: A path, or an address.
        written: How it is written: fields of `TableConfig`.

    Raises:
        ValidationError: A field is none, or has a value that it cannot have.
    """
    return _ADAPTER.validate_python({**written, "path": place})


def at_place(source: Source, place: str) -> Source:
    """The same table at another place: how it is written stays, how it is reached follows from the place."""
    if kind_at(place) == kind_at(source.path):
        return source.model_copy(update={"path": place})
    written = set(TableConfig.model_fields) - {"path"}
    return source_at(place, **source.model_dump(include=written, exclude_unset=True))
