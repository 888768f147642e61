"""`serving`: the endpoint, its log, and how a new version comes up on a cluster.

Two kinds of settings: those that a server is started with, and those of how it is brought up. Only the first restart a
server when they change (`server_settings`), and they are handed to it as JSON, the same here and on a cluster.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.shared.config.base import Memory, Section, Share, mebibytes

ExtraColumns = Literal["ignore", "refuse"]


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
        if self.memory and self.memory_limit and mebibytes(self.memory) > mebibytes(self.memory_limit):
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


class ShadowConfig(Section):
    """Copies of real requests for a candidate that waits for its decision, sent after they have been answered."""

    percent: float = Field(
        default=0, ge=0, le=100, description="Share of the logged requests that are copied, in percent; 0 for none."
    )
    rows: int = Field(
        default=10_000,
        ge=1,
        description="Rows that both versions have to have answered before they say enough for a promotion.",
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
    extra_columns: ExtraColumns = Field(
        default="ignore",
        description="What to do with columns the model does not know; keys and the time column are always accepted.",
    )
    body_megabytes: float = Field(
        default=16, gt=0, description="Largest body of a request, in MB (10^6 bytes), after decompression too."
    )
    rows: int = Field(default=10_000, ge=1, description="Most rows of a request.")
    queue: int = Field(
        default=64, ge=1, description="Large requests that may wait or be worked on; more are asked to come back (503)."
    )
    request_seconds: float = Field(
        default=30, gt=0, description="Longest time, in seconds, for a request to arrive, and to be answered."
    )
    log: InferenceLogConfig = Field(default=InferenceLogConfig(), description="The inference log.")
    shadow: ShadowConfig = Field(
        default=ShadowConfig(), description="Copies of real requests for a candidate that waits for its decision."
    )
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

    @model_validator(mode="after")
    def _copies_are_logged(self) -> Self:
        if self.shadow.percent and not self.log.enabled:
            raise ValueError(
                "shadow.percent is for logged requests, and log.enabled is false: answers are paired there"
            )
        return self

    @property
    def for_candidate(self) -> "ServingConfig":
        """Settings of a candidate's server: it copies nothing itself, and takes rows of more columns than its own."""
        return self.model_copy(update={"shadow": ShadowConfig(rows=self.shadow.rows), "extra_columns": "ignore"})

    @property
    def server_settings(self) -> str:
        """The settings that a model server is started with, JSON."""
        return self.model_dump_json(exclude=set(self.ROLLOUT))
