"""Compaction of the inference log as a program: `python -m components.monitor.compact [MODEL …]`, for the hourly job.

Of each closed hour the many files that the endpoint wrote become few, for each model named or for every model that has
a log. It may be killed and started again at any time, and beside another one.
"""

import argparse
import sys

from components.monitor.each_model import for_each_model
from components.shared.inference_log.compaction import compact_log
from components.shared.inference_log.reading import models
from components.shared.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Compact each model's log.

    Returns:
        The exit code: 0, or 1 when a log could not be compacted; the others are all the same.
    """
    parser = argparse.ArgumentParser(
        prog="python -m components.monitor.compact", description="Puts the files of closed hours together."
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="name of a model (default: all that have a log)")
    given = parser.parse_args(arguments)
    return for_each_model(given.models, models, _compact, none="nothing is logged yet: nothing to compact")


def _compact(store: Store, name: str) -> str:
    return compact_log(store, name).message


if __name__ == "__main__":
    sys.exit(main())
