"""`demo`: a year of flights replayed through the product in some minutes, and a page that tells it."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.places import BUILD

CONFIG = Path("pipelines/configs/flights_demo.yaml")


def demo(
    case: Annotated[
        str,
        typer.Option(metavar="CASE", help="year, concept or broken (default: year)", show_default=False),
    ] = "",
) -> int:
    """Replay the flights of 2013 through a real endpoint: labels, drift, decisions and retrainings, week by week.

    Examples:
        python -m pipelines demo
        python -m pipelines demo --case concept
    """
    from components.shared.processes import stoppable
    from pipelines.config_file import load_config
    from pipelines.demo.cases import find_case
    from pipelines.demo.demo import demonstrate
    from pipelines.demo.page import summary

    chosen = find_case(case)
    print(f"{chosen.title}. {chosen.text}\n", flush=True)
    with stoppable():
        told = demonstrate(
            load_config(CONFIG), chosen, BUILD / "demo" / chosen.name, say=lambda line: print(line, flush=True)
        )
    print("\n" + "\n".join(f"· {line}" for line in summary(told.story)))
    print(f"\nPage    {told.page}\nFigure  {told.figure}")
    return 0
