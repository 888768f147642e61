"""`fetch`: a folder of the object store, downloaded."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.places import local_store


def fetch(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="s3://bucket/prefix/")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="a folder that is new or empty")],
) -> int:
    """Download a folder of the object store, such as predictions.

    Examples:
        python -m pipelines fetch s3://fullcircle/predictions/june/ build/predictions/june
    """
    from components.shared.store import parse_s3_uri

    bucket, prefix = parse_s3_uri(place)
    local_store().for_bucket(bucket).get_folder(prefix, folder)
    print(f"wrote {folder}")
    return 0
