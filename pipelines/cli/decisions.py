"""`decisions`: the audit log of a model."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.consoles import plain_console
from pipelines.cli.places import local_store


def decisions(
    model: options.Model,
    everything: Annotated[bool, typer.Option("--all", help="also decisions that there is nothing to do")] = False,
) -> int:
    """List what was decided about a model, why, and what came of it.

    Examples:
        python -m pipelines decisions flights
    """
    from components.shared.decisions.audit import AuditLog
    from pipelines.cli.decision_tables import print_records

    records = AuditLog(local_store(), model).records()
    if not records:
        print(f"Nothing has been decided about {model!r} yet: `python -m pipelines watch` decides.")
        return 0
    print_records(model, records, plain_console(wide=True), everything=everything)
    return 0
