"""`labels`: what really became of what a model predicted, added to the labels of the model."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.cli.places import local_store

if TYPE_CHECKING:
    from components.shared.config import Config
    from components.shared.labels.reading import Names, Table
    from components.shared.package.schema import Schema


def labels(
    config: options.ConfigFile,
    data: Annotated[
        str,
        typer.Option(
            metavar="PLACE", help="file, folder, glob, http(s)://… or s3://… with the labels", show_default=False
        ),
    ],
    label: Annotated[
        str, typer.Option(metavar="COLUMN", help="holds the labels (default: the target's name)", show_default=False)
    ] = "",
    request_id: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="holds the ids of the requests (default: request_id)", show_default=False),
    ] = "",
    event_time: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="says when it happened (default: event_time)", show_default=False),
    ] = "",
    days: Annotated[float, typer.Option(metavar="N", help="look for the requests this far back; 0: do not look")] = 40,
) -> int:
    """Add labels, by request id or by keys; a file may be given twice, corrections are rows of a later file.

    Examples:
        python -m pipelines labels pipelines/configs/flights.yaml --data arrived.csv
        python -m pipelines labels pipelines/configs/flights.yaml --data s3://incoming/landed/ --event-time landed
    """
    from pipelines.config_file import load_config

    checked = load_config(config)
    from components.shared.labels.asked import hold_against_log
    from components.shared.labels.reading import Names
    from components.shared.labels.store import Labels
    from components.shared.registry.registry import Registry

    store = local_store()
    schema = Registry(store, checked.name).schema()
    table = _read(checked, data, schema, Names(label, request_id, event_time))
    stored = Labels(store, checked.name, schema)
    report = stored.append(table, source=data)
    damaged = f"; stored files of labels that cannot be read: {stored.damaged:,}" if stored.damaged else ""
    print(f"{checked.name}: {report.message}{damaged}")
    if days and report.added:
        found = hold_against_log(store, checked.name, report.labels, schema, days_back=days)
        print(f"{found.message} (the last {days:g} days of the log)")
    return 0


def _read(config: "Config", data: str, schema: "Schema", names: "Names") -> "Table":
    """The table of labels, read as ingest reads rows to be predicted: texts as they are spelled."""
    from components.ingest.ingest import ingest_table
    from components.shared.labels.layout import LabelColumns
    from components.shared.labels.reading import read_labels

    with tempfile.TemporaryDirectory(prefix="fullcircle-labels-") as folder:
        path = Path(folder, "labels.parquet")
        everything = config.problem.model_copy(update={"ignore": []})
        ingest_table(config.source, everything, path, data=data)
        columns = LabelColumns(schema)
        named = [*schema.keys, schema.target, columns.label, names.label, columns.event_time, names.event_time]
        return read_labels(path, schema, names, config.source.spellings(named))
