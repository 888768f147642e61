"""`contract`: a data contract inferred from the tables of a configuration."""

import tempfile
from pathlib import Path

from pipelines.cli import options
from pipelines.cli.places import BUILD


def contract(config: options.ConfigFile, output: options.Output = None) -> int:
    """Write a data contract inferred from the data, to be edited.

    Examples:
        python -m pipelines contract pipelines/configs/wine.yaml
    """
    from pipelines.config_file import load_config

    checked = load_config(config)
    from components.ingest.ingest import ingest_table
    from components.validate.infer import write_contract

    path = output or BUILD / f"{checked.name}-contract.yaml"
    with tempfile.TemporaryDirectory(prefix="fullcircle-contract-") as folder:
        table = Path(folder, "table.parquet")
        ingest_table(checked.source, checked.problem, table)
        write_contract(table, checked.problem, path)
    print(f"wrote {path}: look it over, then paste it over the `contract:` section of {config}")
    return 0
