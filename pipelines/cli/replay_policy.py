"""`replay-policy`: what another rule would have decided on the same history."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.cli.consoles import plain_console
from pipelines.cli.places import local_store

if TYPE_CHECKING:
    from components.shared.config import PolicyConfig
    from components.shared.store import Store


def replay_policy(
    model: options.Model,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="CONFIG",
            help="a configuration whose `monitoring.policy` is tried (default: that of the version in use)",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Show what a rule would have decided on all that is known of a model's windows; changes nothing.

    Examples:
        python -m pipelines replay-policy flights --policy stricter.yaml
    """
    from components.shared.decisions.audit import AuditLog
    from components.shared.decisions.evidence_files import read_evidence
    from components.shared.registry.registry import Registry
    from pipelines.cli.decision_tables import print_replay
    from pipelines.decisions.replay import replay

    store = local_store()
    evidence = read_evidence(store, model)
    if not evidence:
        print(f"Nothing is known of windows of {model!r} in {store.uri('')} yet: the monitor finds it out.")
        return 0
    registry = Registry(store, model)
    rule = _policy(store, model, registry.champion_version(), policy)
    replayed = replay(evidence, AuditLog(store, model).records(), rule, registry.history())
    print_replay(replayed, plain_console(wide=True))
    return 0


def _policy(store: "Store", model: str, version: str, file: Path | None) -> "PolicyConfig":
    """The rule of a file, or else of a version."""
    from components.shared.registry.monitoring import read_settings
    from pipelines.config_file import load_config

    settings = read_settings(store, model, version) if file is None else load_config(file).monitoring
    return settings.policy
