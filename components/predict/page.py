"""A batch prediction as a page for people."""

from components.predict.result import Summary
from components.shared.formatting import format_count, format_duration, format_share
from components.shared.pages.blocks import Status
from components.shared.pages.charts import bars
from components.shared.pages.reports import Page


def prediction_page(summary: Summary) -> Page:
    """Make the page."""
    rejected = f"{format_count(summary.rejected)} rejected" if summary.rejected else "all rows predicted"
    status: Status = "warning" if summary.rejected else "passed"
    page = Page("Batch prediction", f"{summary.name}, version {summary.version}", status=status, status_label=rejected)
    page.section("Rows").facts(_facts(summary))
    if summary.classes:
        chart = bars(
            list(summary.classes), list(summary.classes.values()), title="Predicted rows by class", x_label="rows"
        )
        page.section("Predictions").chart(chart)
    if summary.values:
        facts = {name.capitalize(): value for name, value in summary.values.model_dump().items()}
        page.section("Predictions").facts(facts)
    if summary.reasons:
        text = "The first rows that do not fit the model; rejected.parquet holds all of them, with the reason."
        page.section("Rejected", text).list(summary.reasons)
    page.section("Files").table(["file", "rows"], list(summary.parts.items()))
    return page


def _facts(summary: Summary) -> dict[str, object]:
    share = f" ({format_share(summary.rejected / summary.rows)})" if summary.rejected else ""
    window = f"{summary.lineage.window_start} – {summary.lineage.window_end}"
    return {
        "Table": summary.rows,
        "Predicted": summary.predicted,
        "Rejected": f"{format_count(summary.rejected)}{share}",
        "Place": summary.place,
        "Columns": ", ".join(summary.columns),
        "Window": window if summary.lineage.window_start else "none",
        "Content of the table": summary.lineage.content_hash[:12],
        "Took": f"{format_duration(summary.seconds)}, {format_count(summary.rows / max(summary.seconds, 1e-3))} rows/s",
    }
