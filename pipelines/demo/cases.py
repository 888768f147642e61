"""The cases of the demonstration: the year as it was, or with one thing in it changed.

A change is made at the source: what the endpoint is asked, what labels say and what retrainings learn from all have it.
"""

from dataclasses import dataclass
from datetime import date

from components.shared.errors import DataError
from components.shared.tables import literal

_HERE = "scheduled >= DATE {since} AND scheduled < DATE {until}"
# Swaps outcomes within each day: the first flight gets that of the last, the second that of the last but one, ….
_REVERSED = f"""
WITH numbered AS (
  SELECT *, count(*) OVER day_of AS flights,
    row_number() OVER (day_of ORDER BY scheduled, carrier, flight, origin) AS place
  FROM rows WINDOW day_of AS (PARTITION BY scheduled::DATE, late IS NULL)
), others AS (
  SELECT scheduled::DATE AS day, late, flights + 1 - place AS place FROM numbered
)
SELECT numbered.* EXCLUDE (flights, place)
  REPLACE (CASE WHEN {_HERE} THEN others.late ELSE numbered.late END AS late)
FROM numbered JOIN others ON scheduled::DATE = day AND (numbered.late IS NULL) = (others.late IS NULL)
  AND numbered.place = others.place
"""
_METRIC = f"""
SELECT * REPLACE (
  CASE WHEN {_HERE} THEN (temp - 32) / 1.8 ELSE temp END AS temp,
  CASE WHEN {_HERE} THEN (dewp - 32) / 1.8 ELSE dewp END AS dewp,
  CASE WHEN {_HERE} THEN visib * 1.609 ELSE visib END AS visib
) FROM rows
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        name: What is typed.
        title: Heading of the page.
        text: What happens, for people.
        weeks: How many weeks from the first of April on are replayed.
        learn_days: How many days back a retraining learns from; the first version learns from all that there is.
        since: The first day that is changed.
        until: The first day after these.
        sql: SELECT from `rows`, the flights as they were, with all of their columns; empty where nothing is changed.
    """

    name: str
    title: str
    text: str
    weeks: int
    learn_days: int = 91
    since: date = date.max
    until: date = date.max
    sql: str = ""

    @property
    def select(self) -> str:
        """The SELECT with its days."""
        days = {"since": literal(self.since.isoformat()), "until": literal(self.until.isoformat())}
        return self.sql.format(**days) if self.sql else "SELECT * FROM rows"


CASES = {
    case.name: case
    for case in (
        Case("year", "A year of flights", "The flights as they were: nothing is changed.", weeks=39),
        Case(
            "concept",
            "The relation changes",
            "From 1 July on, of each day the flight that leaves first gets what became of the one that leaves last, "
            "and so on: mornings are late, and evenings on time. Everything that the model is asked stays as it was, "
            "and so does each day's share of late flights.",
            weeks=22,
            learn_days=28,  # most of what is older than the change would teach the old relation
            since=date(2013, 7, 1),
            sql=_REVERSED,
        ),
        Case(
            "broken",
            "A fault at the source",
            "From 6 May to 2 June the weather comes in metric units: temperature and dew point in degrees Celsius, "
            "sight in kilometres. Then the fault is put right.",
            weeks=13,
            since=date(2013, 5, 6),
            until=date(2013, 6, 3),
            sql=_METRIC,
        ),
    )
}


def find_case(name: str) -> Case:
    """The case of a name; the year as it was where there is none.

    Raises:
        DataError: There is no such case.
    """
    if name and name not in CASES:
        raise DataError(f"There is no case {name!r}; expected one of {', '.join(CASES)}, or none for the first.")
    return CASES[name or "year"]
