"""`resume`: a person lets retraining go on."""

from pipelines.cli import options
from pipelines.cli.places import local_store


def resume(
    model: options.Model,
    why: options.Why = "",
) -> int:
    """Let a model be retrained again after retrainings that did not help.

    Examples:
        python -m pipelines resume flights --why "the source delivers all columns again"
    """
    from datetime import UTC, datetime

    from components.shared.decisions.audit import AuditLog
    from components.shared.decisions.records import Resumed

    AuditLog(local_store(), model).add(Resumed(when=datetime.now(UTC), why=why))
    print(f"{model} may be retrained again: those before that did not help no longer count.")
    return 0
