"""A program for tests that observes the model demo as often as it is told, each time in a process of its own.

It reads a bucket and a moment from each line of its input, forks, and says the number of the process; what that process
was not killed before, it has done when the program says `ended`.
"""

import os
import sys
from dataclasses import replace
from datetime import datetime

from components.monitor.observation.observe import observe
from components.shared.store import Store, StoreSettings


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        bucket, moment = line.split()
        process = os.fork()
        if not process:
            store = Store(replace(StoreSettings.from_environment(), bucket=bucket))
            observe(store, "demo", now=datetime.fromisoformat(moment))
            os._exit(0)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print("ended", status, flush=True)


if __name__ == "__main__":
    main()
