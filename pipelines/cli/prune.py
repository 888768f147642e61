"""`prune`: the inference log without its old hours."""

from typing import Annotated

import typer

from pipelines.cli.places import local_store


def prune(
    days: Annotated[float, typer.Option(metavar="N", help="how long an hour is kept; at least 1", show_default=False)],
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="name of a model (default: all that have a log)", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="remove it")] = False,
) -> int:
    """Remove old hours of the inference log; says what would go, and removes it with --yes.

    Examples:
        python -m pipelines prune --days 30
        python -m pipelines prune flights --days 30 --yes
    """
    from components.shared.inference_log.reading import models as logged_models
    from components.shared.inference_rows import LOG_ROOT, SHADOW_ROOT
    from pipelines.retention import prune_log

    store = local_store()
    found = {
        f"{name}{suffix}": prune_log(store, name, keep_days=days, delete=yes, root=root)
        for root, suffix in ((LOG_ROOT, ""), (SHADOW_ROOT, " (candidates)"))
        # A model that is named is answered for, also where it has no log.
        for name in (models if models and root == LOG_ROOT else logged_models(store, root=root))
        if not models or name in models
    }
    for name, pruned in found.items():
        print(f"{name}: {pruned.message(removed=yes)}")
    if not found:
        print("nothing is logged yet")
    elif not yes and any(pruned.hours for pruned in found.values()):
        print("Nothing was removed. `make prune DAYS=… YES=1`, or `--yes`, removes it; model versions always stay.")
    return 0
