"""Statistics of tables, and what two of them say about drift.

`Bins` are fixed by the reference of a version, `gather` counts rows into them, `Statistics` add up, and `compare` and
`check_rows` judge them without the rows.
"""

from components.monitor.statistics.bins import Bins as Bins
from components.monitor.statistics.comparing import compare as compare
from components.monitor.statistics.gathering import gather as gather
from components.monitor.statistics.statistics import Statistics as Statistics
