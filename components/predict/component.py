"""The predict stage as a pipeline component."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.shared.component import stage


@stage
def predict(
    name: str,
    source: str,
    lineage: str,
    version: str,
    destination: str,
    table: Input[Dataset],
    summary: Output[Artifact],
    predict_page: Output[HTML],
) -> str:
    """Predict every row of a table with a stored version and write the predictions to the object store.

    Args:
        name: Name of the model.
        source: The section `source` of the configuration, as JSON; it says how times are written.
        lineage: Where the rows came from, as JSON.
        version: The version to predict with; empty for the champion.
        destination: Prefix in the object store below which to write, or s3://bucket/prefix; empty for a new one below
            `predictions/<name>/`.
        table: The table as ingest writes it, with the columns a request to the endpoint has.
        summary: What was written, JSON: place, version, rows predicted and rejected, files, classes, lineage.
        predict_page: The same for people.

    Returns:
        Where the predictions are: s3://bucket/prefix/.
    """
    from pathlib import Path

    import pyarrow.parquet as pq

    from components.predict.page import prediction_page
    from components.predict.predict import predict_table
    from components.shared.config import SourceConfig
    from components.shared.files import write_text
    from components.shared.package.model_package import Lineage
    from components.shared.progress import announce
    from components.shared.store import Store

    tables = SourceConfig.model_validate_json(source)
    done = predict_table(
        Store.connect(),
        name,
        Path(table.path),
        lineage=Lineage.model_validate_json(lineage),
        version=version,
        destination=destination,
        date_format=tables.date_format,
        spellings=tables.spellings(pq.read_schema(table.path).names),
    )
    write_text(Path(summary.path), done.model_dump_json(indent=2))
    prediction_page(done).write(predict_page.path)
    announce(done.message)
    return done.place
