"""The configuration of one use case: a table, a target, and what each stage should do.

One YAML file, one `Config`. Unknown keys are refused, every field has its unit and default in its
description, and each stage receives only its own section. `load_config` lists every mistake at once.
"""

from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

ColumnType = Literal["integer", "number", "text", "boolean", "date", "timestamp"]
Task = Literal["binary", "multiclass", "regression"]
Family = Literal["linear", "hist_gradient_boosting", "lightgbm", "random_forest", "dummy"]
Stage = Literal[
    "ingest", "validate", "prepare", "profile", "tune", "train", "evaluate", "gate", "publish", "deploy", "monitor",
    "predict",
]  # fmt: skip
OnFailure = Literal["fail", "quarantine"]
ClassificationMetric = Literal["accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier"]
RegressionMetric = Literal["mae", "rmse", "r2", "mape"]
Metric = Literal[ClassificationMetric, RegressionMetric]
DatePart = Literal["year", "month", "day", "weekday", "hour", "minute"]
DriftMethod = Literal["wasserstein", "ks", "psi", "jensenshannon", "chisquare"]

DEFAULT_METRIC: dict[Task, Metric] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
LOWER_IS_BETTER: frozenset[Metric] = frozenset({"log_loss", "brier", "mae", "rmse", "mape"})

Share = Annotated[float, Field(ge=0, le=1)]
Memory = Annotated[str, Field(pattern="^[1-9][0-9]*(Mi|Gi)$")]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TableConfig(Section):
    """One source table."""

    path: str = Field(
        description="Where the table is: a file, a folder, a glob, http(s)://…, s3://bucket/key (globs too), or "
        "package://module/path for a file inside an installed Python package."
    )
    format: Literal["auto", "csv", "parquet", "jsonl"] = Field(
        default="auto",
        description="File format; `auto` goes by the ending: .csv, .tsv, .parquet, .jsonl, .ndjson, also .gz and .zip.",
    )
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="CSV only: the character between two fields."
    )
    encoding: str = Field(
        default="utf-8", description="Text encoding of CSV and JSON Lines, such as `utf-8` or `latin-1`."
    )
    header: bool = Field(
        default=True, description="CSV only: whether the first line (after `skip_lines`) holds the column names."
    )
    names: list[str] = Field(default=[], description="CSV only: column names, in order, for a file without a header.")
    skip_lines: int = Field(default=0, ge=0, description="CSV only: lines to skip at the top of each file.")
    nulls: list[str] = Field(
        default=["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"], description="Spellings that mean no value."
    )
    types: dict[str, ColumnType] = Field(
        default={}, description="Types of columns by name; columns not named are typed by what the whole file holds."
    )
    infer_types: bool = Field(
        default=True,
        description="Whether columns that the file gives no type, such as a CSV file's, are typed by their values; "
        "otherwise those not named in `types` stay text.",
    )
    date_format: str = Field(
        default="", description="strptime format of date and timestamp columns on reading; empty for ISO 8601."
    )


class SourceConfig(Section):
    """Where the data comes from: named tables, joined and filtered by one query."""

    tables: dict[str, TableConfig] = Field(min_length=1, description="Tables by the name the query uses.")
    query: str = Field(
        default="", description="One SQL SELECT (DuckDB's dialect) over the tables; empty when there is only one table."
    )

    @model_validator(mode="after")
    def _query_when_several(self) -> Self:
        if not self.query.strip() and len(self.tables) > 1:
            raise ValueError(f"a query is needed to join {len(self.tables)} tables ({', '.join(self.tables)})")
        return self

    @property
    def date_format(self) -> str:
        """How dates are written in all tables; empty for ISO 8601, and when the tables differ."""
        formats = {table.date_format for table in self.tables.values()}
        return formats.pop() if len(formats) == 1 else ""


class ProblemConfig(Section):
    """What is to be predicted from what."""

    target: str = Field(description="Column to predict.")
    task: Task = Field(description="`binary`, `multiclass` or `regression`.")
    positive: bool | int | str | None = Field(
        default=None,
        description="Binary only: the class whose probability is asked for; by default the larger one (true, 1).",
    )
    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Binary only: probability from which the positive class is answered."
    )
    time_column: str = Field(
        default="",
        description="Date or timestamp that orders the rows; with it the data window and the split go by time.",
    )
    keys: list[str] = Field(
        default=[], description="Columns that together identify a row; features only when named there."
    )
    features: list[str] = Field(
        default=[],
        description="Columns to learn from; empty for all but the target, time column, keys, ignored and leak columns.",
    )
    ignore: list[str] = Field(default=[], description="Columns that are neither features nor anything else.")
    leaks: list[str] = Field(
        default=[], description="Columns known only after the moment of prediction: naming one as a feature is refused."
    )
    categorical: list[str] = Field(
        default=[], description="Whole-number columns to treat as categories, such as codes."
    )

    @model_validator(mode="after")
    def _features_are_known_in_time(self) -> Self:
        excluded = {"leaks": self.leaks, "ignore": self.ignore, "target": [self.target]}
        mistakes = [
            f"features names {column!r}, which is also in problem.{role}"
            for role, columns in excluded.items()
            for column in self.features
            if column in columns
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self


class ColumnRule(Section):
    """What one column has to hold."""

    type: ColumnType | None = Field(default=None, description="Type of the column; null accepts any.")
    required: bool = Field(default=True, description="Whether the column has to be there.")
    nullable: bool = Field(default=False, description="Whether values may be missing.")
    minimum: float | None = Field(default=None, description="Smallest allowed number, in the column's unit.")
    maximum: float | None = Field(default=None, description="Largest allowed number, in the column's unit.")
    allowed: list[bool | int | float | str] = Field(default=[], description="The only allowed values; empty for any.")
    pattern: str = Field(
        default="", description="Regular expression that each whole text value has to match; empty for any."
    )
    unique: bool = Field(default=False, description="Whether no value may occur twice.")
    on_failure: OnFailure = Field(
        default="fail", description="`fail` ends the run; `quarantine` sets the bad rows aside."
    )


class CheckRule(Section):
    """A condition across the columns of a row."""

    name: str = Field(min_length=1, description="Name of the rule in reports and in the quarantine.")
    sql: str = Field(
        min_length=1, description="SQL condition that each row has to fulfil; a null result counts as fulfilled."
    )
    on_failure: OnFailure = Field(
        default="fail", description="`fail` ends the run; `quarantine` sets the bad rows aside."
    )


class UniqueRule(Section):
    """Columns whose values together may occur only once."""

    columns: list[str] = Field(min_length=1, description="The columns of the key.")
    on_failure: OnFailure = Field(
        default="fail", description="`fail` ends the run; `quarantine` sets all but the first row of each key aside."
    )


class ContractConfig(Section):
    """The data contract: what the ingested table promises."""

    columns: dict[str, ColumnRule] = Field(default={}, description="Rules by column name.")
    unique: list[UniqueRule] = Field(default=[], description="Unique keys.")
    checks: list[CheckRule] = Field(default=[], description="Conditions across columns.")
    other_columns: Literal["allow", "fail"] = Field(
        default="allow", description="What to do with columns the contract does not name."
    )
    minimum_rows: int = Field(default=50, ge=2, description="Fewest rows worth learning from.")
    maximum_age_days: float | None = Field(
        default=None, gt=0, description="Oldest allowed age, in days, of the newest row by the time column."
    )
    non_finite: OnFailure = Field(
        default="quarantine",
        description="What to do with rows holding an infinite number or one beyond the range of float32.",
    )
    quarantine_limit: Share = Field(
        default=0.01, description="Largest share of rows that may be set aside before the run fails."
    )


class Bounds(Section):
    """Closed interval of a number."""

    minimum: float | None = Field(default=None, description="Smallest value kept, in the column's unit.")
    maximum: float | None = Field(default=None, description="Largest value kept, in the column's unit.")


class SplitConfig(Section):
    """How rows are divided into train, validation and test."""

    method: Literal["auto", "chronological", "random", "stratified", "grouped"] = Field(
        default="auto",
        description="`auto`: chronological with a time column, else stratified for classes, else random.",
    )
    validation: float = Field(default=0.15, gt=0, lt=0.5, description="Share of rows for choosing the model.")
    test: float = Field(default=0.15, gt=0, lt=0.5, description="Share of rows for judging it.")
    group: str = Field(default="", description="`grouped` only: column whose values never stand in two parts.")
    seed: int = Field(default=0, ge=0, description="Seed of the random methods.")

    @model_validator(mode="after")
    def _group_named(self) -> Self:
        if (self.method == "grouped") != bool(self.group):
            raise ValueError("`group` names a column exactly when method is `grouped`")
        return self


class PrepareConfig(Section):
    """How rows are repaired and divided."""

    drop_duplicates: bool = Field(default=True, description="Whether rows equal in every column are kept once.")
    duplicate_keys: Literal["first", "last", "fail"] = Field(
        default="last", description="Which row of the same key stays, by time column then order of arrival; or `fail`."
    )
    bounds: dict[str, Bounds] = Field(default={}, description="Rows outside these intervals are dropped; nulls stay.")
    dates: dict[str, list[str]] = Field(
        default={}, description="Text columns holding dates, each with the strptime formats tried in order."
    )
    split: SplitConfig = Field(default=SplitConfig(), description="The three parts.")
    leak_threshold: float = Field(
        default=0.99,
        gt=0.5,
        le=1,
        description="A single feature whose own ROC AUC (classes) or R² (numbers) reaches this is warned of.",
    )


class ProfileConfig(Section):
    """The EDA report."""

    rows: int = Field(default=50_000, ge=100, description="Rows sampled for correlations and the principal components.")
    bins: int = Field(default=30, ge=5, le=200, description="Bins of a histogram.")
    top_categories: int = Field(default=12, ge=2, le=100, description="Categories shown per column.")


class ParameterSpace(Section):
    """Values a hyperparameter may take: a range, or choices."""

    low: float | None = Field(default=None, description="Smallest value.")
    high: float | None = Field(default=None, description="Largest value.")
    log: bool = Field(default=False, description="Whether the range is searched on a logarithmic scale.")
    integer: bool = Field(default=False, description="Whether only whole numbers are tried.")
    choices: list[bool | int | float | str | None] = Field(
        default=[], description="The values to try, instead of a range."
    )

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        is_range = self.low is not None and self.high is not None
        if is_range == bool(self.choices):
            raise ValueError("give either `low` and `high`, or `choices`")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        if self.log and (self.low or 0) <= 0:
            raise ValueError("a logarithmic range needs low above 0")
        return self


class Budget(Section):
    """What the search of one model family may cost."""

    seconds: float = Field(default=60, gt=0, description="Wall-clock seconds; no trial starts after them.")
    trials: int = Field(default=10, ge=1, description="Number of trials.")


class SearchConfig(Section):
    """How each model family is tuned."""

    families: list[Family] = Field(
        default=["linear", "hist_gradient_boosting", "lightgbm", "random_forest", "dummy"],
        min_length=1,
        description="Model families to compare; `dummy` is the baseline and can never win.",
    )
    metric: Metric | None = Field(
        default=None,
        description="What is optimised on the validation part; by default ROC AUC, log loss or RMSE by task.",
    )
    budget: Budget = Field(default=Budget(), description="Per family.")
    rows: int = Field(
        default=50_000, ge=50, description="Training rows sampled for the trials; the final model learns from all."
    )
    pruning: bool = Field(default=True, description="Whether trials that fall behind are stopped early.")
    seed: int = Field(default=0, ge=0, description="Seed of the search and of the models.")
    space: dict[Family, dict[str, ParameterSpace]] = Field(
        default={}, description="Overrides of the search spaces: family, then parameter."
    )

    @field_validator("families")
    @classmethod
    def _something_can_win(cls, families: list[Family]) -> list[Family]:
        if set(families) == {"dummy"}:
            raise ValueError("`dummy` is only the baseline: name at least one other family")
        if len(set(families)) < len(families):
            raise ValueError("each family may be named once")
        return families


class TrainConfig(Section):
    """The scikit-learn pipeline in front of the model."""

    clip_quantiles: tuple[Share, Share] | None = Field(
        default=(0.001, 0.999),
        description="Numbers are clipped at these quantiles of the training part; null leaves them.",
    )
    one_hot_limit: int = Field(default=10, ge=0, description="Categories up to this many become one column each.")
    ordinal_limit: int = Field(
        default=100,
        ge=0,
        description="Categories up to this many become one code for tree models; "
        "above it, and always for linear ones, the target's mean.",
    )
    date_parts: list[DatePart] = Field(
        default=["month", "day", "weekday", "hour"],
        description="What a timestamp feature becomes; weekday 0 is Monday.",
    )
    class_weight: Literal["balanced", "none"] = Field(default="none", description="Whether rare classes weigh more.")
    parity_tolerance: float = Field(
        default=1e-5,
        gt=0,
        description="Largest difference between ONNX and scikit-learn: of probabilities, "
        "or in standard deviations of the target.",
    )
    parity_share: Share = Field(
        default=0.9999, description="Share of test rows that have to agree within the tolerance."
    )
    reference_rows: int = Field(default=20_000, ge=100, description="Rows kept in the package as reference for drift.")
    golden_requests: int = Field(
        default=20, ge=1, le=1000, description="Requests kept in the package with their expected answers."
    )


class EvaluationConfig(Section):
    """How the candidate is judged on the test part."""

    resamples: int = Field(default=200, ge=50, description="Bootstrap resamples of the test rows.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence level of the intervals.")
    slices: list[str] = Field(default=[], description="Columns to slice by, besides the categories of few values.")
    slice_categories: int = Field(
        default=12, ge=0, description="Categories with up to this many values are sliced by default."
    )
    slice_rows: int = Field(default=100, ge=2, description="Fewest test rows a slice needs to be judged.")
    importance_rows: int = Field(default=5_000, ge=50, description="Test rows sampled for permutation importance.")
    shap_rows: int = Field(default=500, ge=10, description="Test rows sampled for SHAP values.")


class Threshold(Section):
    """What a metric has to reach."""

    minimum: float | None = Field(default=None, description="Smallest allowed value.")
    maximum: float | None = Field(default=None, description="Largest allowed value.")

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give `minimum`, `maximum` or both")
        return self


class ChampionRule(Section):
    """The comparison with the model now serving, on the same test rows."""

    metric: Metric | None = Field(default=None, description="What is compared; by default the search's metric.")
    allowed_loss: float = Field(
        default=0.0,
        ge=0,
        description="How much worse, in the metric's unit, the candidate may be: "
        "it is blocked when its paired confidence interval lies wholly beyond.",
    )


class SliceRule(Section):
    """What has to hold in every slice that has enough rows."""

    metric: Metric | None = Field(
        default=None, description="What is compared across slices; by default the search's metric."
    )
    floor: float | None = Field(default=None, description="Worst allowed value in any slice.")
    largest_gap: float | None = Field(
        default=None, gt=0, description="Largest allowed difference between the best and the worst slice of a column."
    )


class GateConfig(Section):
    """What a candidate has to fulfil to be promoted."""

    mode: Literal["block", "warn"] = Field(
        default="block", description="`block` keeps a failing candidate out; `warn` only says so."
    )
    thresholds: dict[Metric, Threshold] = Field(default={}, description="Limits of metrics on the test part.")
    beat_baseline: bool = Field(
        default=True, description="Whether the candidate has to be better than the dummy baseline."
    )
    champion: ChampionRule = Field(default=ChampionRule(), description="No worse than the champion.")
    slices: SliceRule = Field(default=SliceRule(), description="Floors and gaps of slices.")
    package_megabytes: float = Field(
        default=50, gt=0, description="Largest size of the model package, in MB (10^6 bytes)."
    )
    row_milliseconds: float = Field(
        default=5, gt=0, description="Largest median time, in ms, to score one row on one thread."
    )


class InferenceLogConfig(Section):
    """What the endpoint keeps of its requests and answers, in the object store."""

    enabled: bool = Field(default=True, description="Whether requests are logged at all.")
    sample: Share = Field(default=1.0, description="Share of requests that are logged; all rows of one or none.")
    leave_out: list[str] = Field(
        default=[],
        description="Columns that are never logged, such as personal data: features, keys or the time column.",
    )
    flush_seconds: float = Field(
        default=5,
        ge=0.1,
        le=3600,
        description="Longest time, in seconds, before a row is in the store; a crash loses it.",
    )
    flush_rows: int = Field(default=50_000, ge=1, description="Rows after which a file is written earlier.")
    memory_megabytes: float = Field(
        default=64,
        gt=0,
        description="Most memory, in MB (10^6 bytes), for rows that wait for the store; "
        "what comes beyond is dropped and counted.",
    )


class ReplicasConfig(Section):
    """How many servers answer on a cluster."""

    minimum: int = Field(default=1, ge=1, description="Servers that always run; two survive the loss of a node.")
    maximum: int = Field(
        default=0, ge=0, description="Servers that KServe's autoscaler may start; 0 for no more than `minimum`."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.maximum and self.maximum < self.minimum:
            raise ValueError(f"maximum ({self.maximum}) is below minimum ({self.minimum})")
        return self


class ResourcesConfig(Section):
    """What a server gets on a cluster; what is empty stays as the serving runtime says."""

    cpu: float | None = Field(default=None, gt=0, description="Cores reserved.")
    cpu_limit: float | None = Field(default=None, gt=0, description="Most cores.")
    memory: Memory | None = Field(default=None, description="Memory reserved, such as `512Mi`.")
    memory_limit: Memory | None = Field(default=None, description="Most memory, such as `1Gi`.")

    @model_validator(mode="after")
    def _limits_hold_what_is_reserved(self) -> Self:
        if self.cpu and self.cpu_limit and self.cpu > self.cpu_limit:
            raise ValueError(f"cpu ({self.cpu:g}) is above cpu_limit ({self.cpu_limit:g})")
        if self.memory and self.memory_limit and _mebibytes(self.memory) > _mebibytes(self.memory_limit):
            raise ValueError(f"memory ({self.memory}) is above memory_limit ({self.memory_limit})")
        return self


class DarkLaunchConfig(Section):
    """What a new version has to answer on a cluster before anybody else asks it."""

    enabled: bool = Field(default=True, description="Whether a version comes up beside the one that serves first.")
    requests: int = Field(
        default=1000, ge=0, description="Latest logged requests that it has to answer; 0 for golden requests only."
    )
    rows: int = Field(
        default=10_000, ge=1, description="Most rows of these requests together; older ones are left out."
    )
    latency_ms: float = Field(
        default=500, gt=0, description="Most time, in ms, that 99 of 100 of them may take, seen by one client."
    )


class CanaryConfig(Section):
    """A share of the real requests for a new version, before all of them; needs the Gateway API on the cluster."""

    percent: int = Field(default=0, ge=0, le=50, description="Share of requests, in percent; 0 for no canary.")
    seconds: float = Field(default=300, gt=0, description="How long it is watched, in seconds.")
    interval_seconds: float = Field(default=10, gt=0, description="Seconds between two looks at its figures.")
    error_share: Share = Field(
        default=0.01, description="Largest share of its answers that may be errors of the server (5xx)."
    )
    latency_ms: float = Field(default=500, gt=0, description="Most time, in ms, that 99 of 100 answers may take.")
    requests: int = Field(
        default=100, ge=1, description="Requests from which it is judged; with fewer it is promoted, which is recorded."
    )


class ServingConfig(Section):
    """The endpoint."""

    port: int = Field(
        default=8080,
        ge=1024,
        le=65535,
        description="Local run only: port asked for; the next free one is taken when it is in use.",
    )
    start_seconds: float = Field(
        default=60, gt=0, description="How long a new version may take to become ready, in seconds."
    )
    extra_columns: Literal["ignore", "refuse"] = Field(
        default="ignore",
        description="What to do with columns the model does not know; keys and the time column are always accepted.",
    )
    body_megabytes: float = Field(
        default=16, gt=0, description="Largest body of a request, in MB (10^6 bytes), after decompression too."
    )
    rows: int = Field(default=10_000, ge=1, description="Most rows of a request.")
    queue: int = Field(
        default=64, ge=1, description="Large requests that may wait or be worked on; more are told to come back (503)."
    )
    request_seconds: float = Field(
        default=30, gt=0, description="Longest time, in seconds, for a request to arrive, and to be answered."
    )
    log: InferenceLogConfig = Field(default=InferenceLogConfig(), description="The inference log.")
    pull_seconds: float = Field(
        default=120, ge=0, description="Cluster only: what an image may take to arrive, in seconds, besides the start."
    )
    replicas: ReplicasConfig = Field(default=ReplicasConfig(), description="Cluster only: number of servers.")
    resources: ResourcesConfig = Field(default=ResourcesConfig(), description="Cluster only: what each of them gets.")
    dark_launch: DarkLaunchConfig = Field(
        default=DarkLaunchConfig(), description="Cluster only: the proof of a new version before anybody asks it."
    )
    canary: CanaryConfig = Field(default=CanaryConfig(), description="Cluster only: a share of the requests first.")

    # How a server is brought up, which is no business of the server's: a change of it must not restart one.
    ROLLOUT: ClassVar[frozenset[str]] = frozenset(
        {"port", "start_seconds", "pull_seconds", "replicas", "resources", "dark_launch", "canary"}
    )

    @property
    def server_settings(self) -> str:
        """What a model server is told, JSON."""
        return self.model_dump_json(exclude=set(self.ROLLOUT))


class ColumnDrift(Section):
    """How one column is watched."""

    method: DriftMethod = Field(description="Distance or test.")
    threshold: float = Field(
        gt=0, description="Value from which the column counts as drifted (below which, for p-values)."
    )


class MonitoringConfig(Section):
    """The drift report."""

    numeric: ColumnDrift = Field(default=ColumnDrift(method="wasserstein", threshold=0.1), description="For numbers.")
    categorical: ColumnDrift = Field(
        default=ColumnDrift(method="jensenshannon", threshold=0.1), description="For categories."
    )
    columns: dict[str, ColumnDrift] = Field(default={}, description="Overrides by column name.")
    drift_share: Share = Field(
        default=0.5, description="Share of drifted columns from which the table counts as drifted."
    )
    null_share_change: Share = Field(
        default=0.05, description="Change in a column's share of nulls from which it is reported."
    )
    rows: int = Field(default=10_000, ge=100, description="Most rows of each window that are compared.")
    minimum_rows: int = Field(
        default=100, ge=10, description="Fewest logged rows that make a window; with fewer, the test part is used."
    )

    NUMERIC: ClassVar[tuple[DriftMethod, ...]] = ("wasserstein", "ks", "psi", "jensenshannon")
    CATEGORICAL: ClassVar[tuple[DriftMethod, ...]] = ("jensenshannon", "psi", "chisquare")

    @model_validator(mode="after")
    def _methods_fit(self) -> Self:
        for kind, chosen, methods in (
            ("numeric", self.numeric, self.NUMERIC),
            ("categorical", self.categorical, self.CATEGORICAL),
        ):
            if chosen.method not in methods:
                raise ValueError(
                    f"{kind}.method: {chosen.method!r} is not for {kind} columns, use {', '.join(methods)}"
                )
        return self


class TaskConfig(Section):
    """What one stage's task gets on a cluster; a run on one machine takes no notice of it."""

    cpu: float = Field(default=0.5, gt=0, description="Cores reserved.")
    cpu_limit: float = Field(default=2, gt=0, description="Most cores.")
    memory: Memory = Field(default="1Gi", description="Memory reserved, such as `512Mi` or `2Gi`.")
    memory_limit: Memory = Field(default="2Gi", description="Most memory; a task that needs more is ended.")
    seconds: int = Field(default=1800, ge=1, description="Longest time of one attempt, in seconds, waiting included.")
    retries: int = Field(default=1, ge=0, le=10, description="How often a task that failed is started again.")

    @model_validator(mode="after")
    def _limits_hold_what_is_reserved(self) -> Self:
        if self.cpu > self.cpu_limit:
            raise ValueError(f"cpu ({self.cpu:g}) is above cpu_limit ({self.cpu_limit:g})")
        if _mebibytes(self.memory) > _mebibytes(self.memory_limit):
            raise ValueError(f"memory ({self.memory}) is above memory_limit ({self.memory_limit})")
        return self


def _mebibytes(memory: Memory) -> int:
    return int(memory[:-2]) * (1024 if memory.endswith("Gi") else 1)


# Two retries where the outside world is asked. One where a stage only computes: it mends an eviction or a lost node,
# and a second would only repeat what the data made fail. None where a person has to look: a version that failed to
# serve, and a prediction that was killed and has left its claim on the destination.
_SMALL = {"cpu": 0.25, "cpu_limit": 1, "memory": "512Mi", "memory_limit": "1Gi"}
DEFAULT_TASKS: dict[Stage, TaskConfig] = {
    "ingest": TaskConfig(retries=2),
    "validate": TaskConfig(),
    "prepare": TaskConfig(),
    "profile": TaskConfig(),
    "tune": TaskConfig(memory_limit="3Gi", seconds=3600),
    "train": TaskConfig(cpu=1, memory_limit="4Gi", seconds=3600),
    "evaluate": TaskConfig(memory_limit="3Gi"),
    "gate": TaskConfig(retries=2),
    "publish": TaskConfig.model_validate({**_SMALL, "seconds": 900, "retries": 2}),
    "deploy": TaskConfig.model_validate({**_SMALL, "retries": 0}),
    "monitor": TaskConfig(retries=2),
    "predict": TaskConfig(cpu=1, seconds=7200, retries=0),
}


class ClusterConfig(Section):
    """Tasks and endpoints on a cluster."""

    namespace: str = Field(
        default="",
        pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$",
        description="Namespace of the endpoint and of the monitoring CronJob; empty for that of the run.",
    )
    tasks: dict[Stage, TaskConfig] = Field(
        default=DEFAULT_TASKS,
        description="Resources, time-out and retries by stage; what is not said stays at the stage's own default.",
    )
    backoff_seconds: int = Field(default=30, ge=1, description="Seconds before a task is started again.")
    backoff_factor: float = Field(default=2, ge=1, description="What each further wait is multiplied by.")
    backoff_limit_seconds: int = Field(default=600, ge=1, description="Longest wait, in seconds.")
    store_config_map: ObjectName = Field(
        default="fullcircle-store", description="The ConfigMap that says to tasks where the object store is."
    )
    stages_secret: ObjectName = Field(
        default="fullcircle-stages", description="The secret with the keys of tasks that use the object store."
    )
    log_secret: ObjectName = Field(
        default="fullcircle-monitoring",
        description="The secret with keys that read the inference log, for the deployment's replay of logged requests.",
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _keep_what_is_not_said(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        own: dict[str, Any] = {stage: task.model_dump() for stage, task in DEFAULT_TASKS.items()}
        said = {
            stage: {**own.get(stage, {}), **task} if isinstance(task, dict) else task for stage, task in given.items()
        }
        return {**own, **said}


class Config(Section):
    """One use case: from a table to a monitored endpoint."""

    name: str = Field(
        pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$",
        description="Name of the pipeline, the model and the endpoint: lower-case letters, digits and - (at most 40).",
    )
    description: str = Field(default="", description="What is predicted and why, in a sentence.")
    source: SourceConfig = Field(description="The source tables and the query that joins them.")
    problem: ProblemConfig = Field(description="What is to be predicted from what.")
    contract: ContractConfig = Field(default=ContractConfig(), description="The data contract.")
    prepare: PrepareConfig = Field(default=PrepareConfig(), description="Repairs and the split.")
    profile: ProfileConfig = Field(default=ProfileConfig(), description="The EDA report.")
    search: SearchConfig = Field(default=SearchConfig(), description="Model families and their tuning.")
    train: TrainConfig = Field(default=TrainConfig(), description="The scikit-learn pipeline and the model package.")
    evaluation: EvaluationConfig = Field(default=EvaluationConfig(), description="Metrics, slices, explanations.")
    gate: GateConfig = Field(default=GateConfig(), description="What a candidate has to fulfil.")
    serving: ServingConfig = Field(default=ServingConfig(), description="The endpoint.")
    monitoring: MonitoringConfig = Field(default=MonitoringConfig(), description="The drift report.")
    cluster: ClusterConfig = Field(default=ClusterConfig(), description="Resources, time-outs and retries of tasks.")

    @model_validator(mode="after")
    def _search_ends_in_time(self) -> Self:
        longest = self.cluster.tasks["tune"].seconds
        if self.search.budget.seconds >= longest:
            raise ValueError(
                f"search.budget.seconds ({self.search.budget.seconds:g}) has to be below "
                f"cluster.tasks.tune.seconds ({longest}), which ends the task"
            )
        return self

    @model_validator(mode="after")
    def _metrics_fit_the_task(self) -> Self:
        regression = self.problem.task == "regression"
        mistakes = [
            f"{path}: {metric!r} is not a metric of a {self.problem.task} task"
            for path, metric in self._named_metrics()
            if (metric in get_args(RegressionMetric)) != regression
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    def _named_metrics(self) -> list[tuple[str, Metric]]:
        """Every metric the configuration names, with its path."""
        optional = {
            "search.metric": self.search.metric,
            "gate.champion.metric": self.gate.champion.metric,
            "gate.slices.metric": self.gate.slices.metric,
        }
        thresholds = [(f"gate.thresholds.{metric}", metric) for metric in self.gate.thresholds]
        return [*((path, metric) for path, metric in optional.items() if metric), *thresholds]
