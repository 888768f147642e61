"""Where labels are: `labels/<model>/date=YYYY-MM-DD/`, by the day on which they arrived (UTC).

Labels are only ever added. A correction is a new row of the same subject with a later arrival, so that what was known
at a moment can be found out again at any later one: rows that arrived after it are left out.

A label is about a subject: a row of a request, by its id and place, or else whatever the schema's keys name, such as a
customer or a flight, with the moment of the event where there is one.
"""

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from components.shared.inference_log.layout import raw_name
from components.shared.inference_rows import REQUEST_ID, REQUEST_ROW, logged_name
from components.shared.package.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa

LABEL_ROOT = "labels/"
LABEL = "label"
EVENT_TIME = "event_time"
ARRIVAL = "arrival"
SOURCE = "source"
FIRST_ARRIVAL = "first_arrival"

_DAY_FOLDER = re.compile(r"date=(\d{4}-\d\d-\d\d)")


def labels_prefix(model: str) -> str:
    """What the keys of a model's labels begin with."""
    return f"{LABEL_ROOT}{model}/"


def day_prefix(model: str, day: date) -> str:
    """What the keys of the labels of a day begin with."""
    return f"{labels_prefix(model)}date={day.isoformat()}/"


def day_of(folder: str) -> date | None:
    """The day that a folder's name stands for; None when it is none of this layout."""
    found = _DAY_FOLDER.fullmatch(folder)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


# Example: labels/flights/date=2013-11-17/060000.000000-3f2c_500.parquet has 500 labels, which arrived at 6 o'clock.
def file_key(model: str, arrival: datetime, writer: str, rows: int) -> str:
    """The key of a file of labels.

    Args:
        model: Name of the model.
        arrival: When its labels arrived.
        writer: What tells it from all other files of that moment, without underscores.
        rows: How many labels it contains.
    """
    moment = arrival.astimezone(UTC)
    return day_prefix(model, moment.date()) + raw_name(moment, writer, rows)


def arrival_of(key: str) -> datetime | None:
    """When the labels of a file arrived, by its key; None when it is no file of labels."""
    folder, _, name = key.rpartition("/")
    day = day_of(folder.rpartition("/")[2])
    try:
        moment = datetime.strptime(name.partition("-")[0], "%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    return datetime.combine(day, moment.time(), UTC) if day else None


class LabelColumns:
    """The columns of a model's labels, by what they are for; the schema's keys keep their names.

    Attributes:
        request_id: The request's id; null for labels by keys.
        request_row: The place of the row in its request, from 0; null where the request has only one.
        keys: The schema's keys.
        label: The label as it is spelled.
        event_time: When what the label says happened; null where that is not known.
        arrival: When the label became known here.
        source: Where it came from.
        first_arrival: When the first label of the subject became known, which this one may correct; it is in no file.
    """

    def __init__(self, schema: Schema) -> None:
        """Keep names apart from those of the model's columns, as those of the inference log are."""
        self.request_id = logged_name(REQUEST_ID, schema)
        self.request_row = logged_name(REQUEST_ROW, schema)
        self.keys = tuple(schema.keys)
        self.label = logged_name(LABEL, schema)
        self.event_time = logged_name(EVENT_TIME, schema)
        self.arrival = logged_name(ARRIVAL, schema)
        self.source = logged_name(SOURCE, schema)
        self.first_arrival = logged_name(FIRST_ARRIVAL, schema)

    def arrow(self) -> "pa.Schema":
        """The Arrow schema of a file of labels."""
        import pyarrow as pa

        moment = pa.timestamp("us", tz="UTC")
        return pa.schema(
            [
                (self.request_id, pa.string()),
                (self.request_row, pa.int32()),
                *((key, pa.string()) for key in self.keys),
                (self.label, pa.string()),
                (self.event_time, moment),
                (self.arrival, moment),
                (self.source, pa.string()),
            ]
        )
