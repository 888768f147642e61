"""The ingest stage as a pipeline component."""

from typing import NamedTuple

from kfp.dsl import Dataset, Output

from components.shared.component import stage


@stage
def fingerprint(source: str, paths: str) -> str:
    """Find out whether the source tables are those of an earlier run, reading as little of them as possible.

    Args:
        source: The section `source` of the configuration, as JSON.
        paths: Other places of source tables for this run, as JSON {"table": "path"}; empty for the configured ones.

    Returns:
        A fingerprint that is another one when a table has changed.
    """
    from components.ingest import fingerprint as logic
    from components.ingest.ingest import parse_paths
    from components.shared.config import SourceConfig
    from components.shared.progress import announce

    mark, found_by = logic.fingerprint(SourceConfig.model_validate_json(source), parse_paths(paths))
    announce(f"{mark}: {', '.join(found_by)}")
    return mark


@stage
def ingest(
    source: str,
    problem: str,
    window_start: str,
    window_end: str,
    paths: str,
    table: Output[Dataset],
    data: str = "",
    mark: str = "",
) -> NamedTuple("Outputs", lineage=str):  # type: ignore[valid-type]
    """Read the source tables, join and filter them by the query, and limit them to the data window.

    Args:
        source: The section `source` of the configuration, as JSON.
        problem: The section `problem` of the configuration, as JSON.
        window_start: First moment of the data window, ISO 8601 (UTC where no zone is given); empty for no limit.
        window_end: Moment after the data window, ISO 8601; empty for no limit.
        paths: Other places of source tables for this run, as JSON {"table": "path"}; empty for the configured ones.
        table: The table as one Parquet file of integers (int64), numbers (float64), text, booleans, dates and
            timestamps (microseconds; those that came with a zone are in UTC, the others have none). Metadata: rows,
            columns, content_hash, window.
        data: Place of one table to be read instead of the configured ones and their query, for prediction: a file,
            folder, glob, http(s)://… or s3://… with the columns a request to the endpoint has; empty to read those.
        mark: What the source tables were when the run began, from the task Fingerprint. Kubeflow Pipelines takes what
            an earlier run has read where it is the same.

    Returns:
        lineage: Rows, columns, content hash, the window really covered, and a hash of each source, as JSON.
    """
    from pathlib import Path

    from components.ingest import ingest as logic
    from components.shared.config import ProblemConfig, SourceConfig
    from components.shared.progress import announce

    settings = SourceConfig.model_validate_json(source), ProblemConfig.model_validate_json(problem)
    window = logic.Window.parse(window_start, window_end)
    lineage = logic.ingest_table(*settings, Path(table.path), window=window, paths=logic.parse_paths(paths), data=data)
    table.metadata.update(logic.metadata(lineage), mark=mark)
    announce(logic.summary(lineage))
    return NamedTuple("Outputs", lineage=str)(lineage.model_dump_json())  # type: ignore[operator]
