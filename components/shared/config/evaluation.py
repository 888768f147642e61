"""`evaluation`: how the candidate is judged on the test part."""

from pydantic import Field

from components.shared.config.base import Section


class EvaluationConfig(Section):
    """How the candidate is judged on the test part."""

    resamples: int = Field(default=1_000, ge=50, description="Bootstrap resamples of the test part.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence level of the intervals.")
    slices: list[str] = Field(default=[], description="Columns to slice by, besides the categories of few values.")
    slice_categories: int = Field(
        default=12, ge=0, description="Categories with up to this many values are sliced by default."
    )
    slice_rows: int = Field(default=100, ge=2, description="Fewest test rows a slice needs to be judged.")
    importance_rows: int = Field(default=5_000, ge=50, description="Test rows sampled for permutation importance.")
    shap_rows: int = Field(default=500, ge=10, description="Test rows sampled for SHAP values.")
