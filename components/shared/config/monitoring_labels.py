"""`monitoring.labels`: when the labels of a window are enough, and how far is looked back on them."""

from pydantic import Field

from components.shared.config.base import Section, Share


class LabelsConfig(Section):
    """Labels that come late."""

    coverage: Share = Field(
        default=0.9,
        description="Share of the labels which a window will ever get, by the model's own label lag, that has to be "
        "there before its measured quality decides anything.",
    )
    minimum_rows: int = Field(default=100, ge=10, description="Fewest labelled rows of a window that decide anything.")
    history_days: float = Field(
        default=40, gt=0, le=400, description="Days of answers from which is learned how late labels come."
    )
