"""The validate stage: the ingested table held against its data contract."""

from kfp import dsl

from components.shared.component import stage


@stage
def validate(
    contract: str,
    problem: str,
    table: dsl.Input[dsl.Dataset],
    valid: dsl.Output[dsl.Dataset],
    quarantine: dsl.Output[dsl.Dataset],
    validate_report: dsl.Output[dsl.Artifact],
    validate_page: dsl.Output[dsl.HTML],
) -> None:
    """Check the table against its data contract and quarantine bad rows; ends the run when the contract is broken.

    Args:
        contract: The `contract` section of the configuration, as JSON.
        problem: The `problem` section of the configuration, as JSON.
        table: The ingested table, one Parquet file.
        valid: The rows that keep the contract, one Parquet file in the order of the table.
        quarantine: The quarantined rows, one Parquet file with one more column, `rule`: the names of the rules broken.
        validate_report: JSON file of every check and what was found; written also when the run ends here.
        validate_page: The same for people.
    """
    from pathlib import Path

    from components.shared.config import ContractConfig, ProblemConfig
    from components.shared.progress import announce
    from components.validate import validate as logic

    found = logic.validate(
        Path(table.path),
        logic.Outputs(*(Path(output.path) for output in (valid, quarantine, validate_report, validate_page))),
        contract=ContractConfig.model_validate_json(contract),
        problem=ProblemConfig.model_validate_json(problem),
    )
    valid.metadata.update(rows=found.valid_rows)
    quarantine.metadata.update(rows=found.quarantined_rows, share=found.quarantined_share)
    announce(logic.headline(found))
