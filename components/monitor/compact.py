"""Compaction of the inference log as a program: `python -m components.monitor.compact [MODEL …]`, for the hourly job.

Of each closed hour the many files that the endpoint wrote become few, for each model named or for every model that has
a log. It may be killed and started again at any time, and beside another one.
"""

import argparse
import sys

from components.shared.errors import FullcircleError
from components.shared.inference_log.compaction import compact_log
from components.shared.inference_log.reading import models
from components.shared.progress import announce
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
    try:
        store = Store.connect()
        names = given.models or models(store)
    except FullcircleError as error:
        return _tell(error)
    if not names:
        announce("nothing is logged yet: nothing to compact")
    return max((_compact(store, name) for name in names), default=0)


def _compact(store: Store, name: str) -> int:
    try:
        announce(f"{name}: {compact_log(store, name).message}")
    except FullcircleError as error:
        return _tell(error)
    return 0


def _tell(error: FullcircleError) -> int:
    sys.stderr.write(f"\n{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
