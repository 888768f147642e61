"""`profile`: the EDA report."""

from pydantic import Field

from components.shared.config.base import Section


class ProfileConfig(Section):
    """The EDA report."""

    rows: int = Field(default=50_000, ge=100, description="Rows sampled for correlations and the principal components.")
    bins: int = Field(default=30, ge=5, le=200, description="Bins of a histogram.")
    top_categories: int = Field(default=12, ge=2, le=100, description="Categories shown per column.")
