"""What the endpoint counts.

All figures are declared before the first request, with every value that their labels may have: workers share memory of
a fixed size (`metrics`), and nothing that a client sends can make a new time series. Names that KServe has are kept, so
that its dashboards work. Categories are counted as unseen only where the schema lists all there were.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from components.shared.package.model_package import FORMAT
from components.shared.package.schema import Schema
from components.shared.request_figures import OTHER, PREDICTION_PROTOCOLS, REQUEST_SECONDS, REQUESTS
from components.shared.tasks import TASKS
from images.predictor.messages import Reason
from images.predictor.metrics import SECONDS, Family
from images.predictor.transports.http_answers import HTTP_STATUS

PROTOCOLS = (*PREDICTION_PROTOCOLS, OTHER)
# Statuses are HTTP's whatever the transport, so that one alert is enough for all of them.
STATUS_OF: dict[Reason | None, int] = {None: 200} | HTTP_STATUS

ROWS = "fullcircle_rows"
QUEUED = "fullcircle_queued_requests"
UNSEEN = "fullcircle_unseen_categories"
OUT_OF_RANGE = "fullcircle_out_of_range_values"
MISSING = "fullcircle_missing_values"
PREDICTIONS = "fullcircle_predictions"
PREDICTED_VALUES = "fullcircle_predicted_value"
LOG_ROWS = "fullcircle_log_rows"
LOG_FAILED_WRITES = "fullcircle_log_failed_writes"
LOG_WAITING_BYTES = "fullcircle_log_waiting_bytes"
SHADOW_REQUESTS = "fullcircle_shadow_requests"
SHADOW_SECONDS = "fullcircle_shadow_seconds"
SHADOW_CANDIDATE = "fullcircle_shadow_candidate"
SHADOW_OUTCOMES = ("answered", "refused", "failed", "dropped")
STEPS = ("preprocess", "predict", "postprocess", "explain")  # KServe's names


@dataclass(frozen=True)
class Described:
    """What the figures are about."""

    name: str
    version: str
    schema: Schema
    value_bounds: tuple[float, ...] = ()


def step_seconds(step: str) -> str:
    """KServe's name for the time that one step of a request takes."""
    return f"request_{step}_seconds"


def families(model: Described) -> list[Family]:
    """All metrics of an endpoint."""
    schema = model.schema
    known = [f.name for f in schema.categories if is_complete(f.categories, f.cardinality)]
    statuses = [str(status) for status in STATUS_OF.values()]
    named: dict[str, Sequence[str]] = {"model_name": (model.name,)}
    found = [
        Family(REQUESTS, "Requests by protocol and status.", "counter", {"protocol": PROTOCOLS, "status": statuses}),
        Family(
            REQUEST_SECONDS, "Seconds from a prediction request's arrival to its answer.", "histogram",
            {"protocol": PREDICTION_PROTOCOLS}, SECONDS,
        ),
        *(Family(step_seconds(step), f"Seconds of the {step} step.", "histogram", named, SECONDS) for step in STEPS),
        Family(ROWS, "Rows predicted.", "counter", named),
        Family(QUEUED, "Large requests that wait or are worked on.", "gauge", named),
        Family(
            UNSEEN, "Categories that the training part did not have.", "counter", {"column": known},
        ),
        Family(
            OUT_OF_RANGE, "Values below or above those of the training part.", "counter",
            {"column": [f.name for f in (*schema.numbers, *schema.timestamps) if f.minimum is not None]},
        ),
        Family(MISSING, "Missing values.", "counter", {"column": [f.name for f in schema.features if f.nullable]}),
        Family(LOG_ROWS, "Rows to be logged, by what became of them.", "counter", {"outcome": ("written", "dropped")}),
        Family(LOG_FAILED_WRITES, "Failed attempts to write to the inference log.", "counter", {}),
        Family(LOG_WAITING_BYTES, "Memory of the rows that wait for the inference log.", "gauge", {}),
        Family(
            SHADOW_REQUESTS, "Copies of requests for a candidate, by what became of them.", "counter",
            {"outcome": SHADOW_OUTCOMES},
        ),
        Family(SHADOW_SECONDS, "Seconds until a candidate had answered a copy.", "histogram", {}, SECONDS),
        Family(SHADOW_CANDIDATE, "Processes whose copies a candidate takes.", "gauge", {}),
        Family(
            "fullcircle_model_info", "The version that serves.", "info",
            {**named, "model_version": (model.version,), "task": (schema.task,), "format": (FORMAT,)},
        ),
    ]  # fmt: skip
    if TASKS[schema.task].has_classes:
        found.append(Family(PREDICTIONS, "Predictions by label.", "counter", {"label": schema.labels}))
    else:
        found.append(Family(PREDICTED_VALUES, "Predicted values.", "histogram", {}, model.value_bounds))
    return found


def is_complete(categories: Sequence[str], cardinality: int) -> bool:
    """Whether the schema lists all categories there were, so that another one is known to be new."""
    return len(categories) == cardinality > 0
