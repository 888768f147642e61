"""The prepare stage: rows repaired and divided into train, validation and test."""

from kfp import dsl

from components.shared.component import stage


@stage
def prepare(
    settings: str,
    problem: str,
    contract: str,
    table: dsl.Input[dsl.Dataset],
    splits: dsl.Output[dsl.Dataset],
    prepare_page: dsl.Output[dsl.HTML],
) -> None:
    """Repair the table and divide it into train, validation and test.

    Args:
        settings: The `prepare` section of the configuration, as JSON.
        problem: The `problem` section of the configuration, as JSON.
        contract: `ContractConfig.of_schema`, as JSON: fewest rows that stay, and what may come in columns.
        table: The checked table, one Parquet file.
        splits: Folder with train.parquet, validation.parquet, test.parquet, schema.json (features and classes,
            as seen in the training part) and summary.json (what was removed and why, the
            split, warnings such as suspected leaks).
        prepare_page: What was removed, left out and warned of, for people.
    """
    from pathlib import Path

    from components.prepare import prepare as logic
    from components.prepare.page import preparation_page
    from components.shared.progress import announce

    summary = logic.prepare(Path(table.path), Path(splits.path), **logic.read_sections(problem, settings, contract))
    preparation_page(summary).write(prepare_page.path)
    splits.metadata.update({part: found.rows for part, found in summary.parts.items()}, features=summary.features)
    announce(logic.headline(summary))
