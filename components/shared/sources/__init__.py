"""Where source tables are: one kind of place a file here, each of which adds its settings to how a table is written.

`table.py` lists the kinds; the configuration, the fingerprint of a run's tables and ingest know them from there alone.
"""

import components.shared.config  # noqa: F401 - its sections and these kinds need each other: it has to begin
