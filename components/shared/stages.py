"""The stages of the pipelines: one row each, in the order in which they run, and the only list of them.

Whatever else needs to know a stage takes it from here: the names that a configuration may use, what its task gets on a
cluster, which pages a run links, what is brought from a cluster, what a run on one machine loads ahead. A new stage is
a folder `components/<name>/` with an adapter, a row here, and its call in a pipeline. `docs/stages.md` is the recipe.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

# Where a task stands: in the training pipeline itself, in its loop over model families, behind the gate's condition,
# after all others, or in the pipeline of batch predictions or of monitoring alone.
Part = Literal["training", "each family", "promoted", "exit", "prediction", "monitoring"]


class Resources(TypedDict, total=False):
    """What a stage's task gets on a cluster, where it is not `cluster.tasks`' own default."""

    cpu: float
    cpu_limit: float
    memory: str
    memory_limit: str
    seconds: int
    retries: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page that a run links.

    Attributes:
        artifact: The output that is the page.
        title: What the link says.
        text: What the page shows.
    """

    artifact: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Sentences:
    """Where sentences of a stage stand, for the end of a run: warnings, or what is good to know.

    Attributes:
        artifact: The output that contains them, JSON.
        file: The file in it, where it is a folder.
        keys: The keys that lead to the list.
        written_by: The stage whose output it is; empty for the stage's own.
    """

    artifact: str
    file: str = ""
    keys: tuple[str, ...] = ("warnings",)
    written_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One row of the table.

    Attributes:
        name: Its name, one word in lower case: that of the adapter's function, of the task and of its container's log.
        folder: The folder of `components/` that contains the adapter; empty where it has the stage's name.
        part: Where its task stands.
        image: The image it runs in, a folder of `images/`.
        cached: Whether Kubeflow Pipelines may take what an earlier run has put out for the same inputs.
        uses_store: Whether it gets the object store's address and keys.
        reads_log: Whether it gets the keys that read the inference log, too.
        resources: What its task gets besides the default.
        large: What it reserves besides where `cluster.size` is `large`.
        background: Whether no other stage needs what it writes, so that on one machine others go on beside it.
        libraries: Modules of this stage alone that take long to import; a run on one machine loads them ahead.
        headline: Whether its message is shown after a run on a cluster whose artifacts cannot be read.
        pages: Its pages.
        brought: Outputs besides its pages that the end of a run reads, with the files of a folder; none for all.
        warnings: Where its warnings stand.
        remarks: Where stands what is good to know and asks for nothing.
    """

    name: str
    folder: str = ""
    part: Part = "training"
    image: str = "stage"
    cached: bool = True
    uses_store: bool = False
    reads_log: bool = False
    resources: Resources = field(default_factory=Resources)
    large: Resources = field(default_factory=Resources)
    background: bool = False
    libraries: Sequence[str] = ()
    headline: bool = False
    pages: Sequence[Page] = ()
    brought: Sequence[tuple[str, frozenset[str]]] = ()
    warnings: Sequence[Sentences] = ()
    remarks: Sequence[Sentences] = ()

    @property
    def adapter(self) -> str:
        """The module of its KFP component."""
        return f"components.{self.folder or self.name}.component"


_ALL: frozenset[str] = frozenset()
# What a stage that keeps the whole table in memory reserves where that is large.
_WHOLE_TABLE = Resources(cpu=0.5, memory="1Gi")
_LEARNING = Resources(cpu=1, memory="2Gi")

# Retries: two where the outside world is asked. One where a stage only computes (the default): it helps against an
# eviction or a lost node, and a second would only repeat what the data made fail. None where a person has to look: a
# version that failed to serve, and a prediction that was killed and has left its claim on the destination.
# Store: the first two as any run may be given s3:// places; the others read or write models, predictions, reports.
STAGES: tuple[Stage, ...] = (
    Stage(
        name="fingerprint",
        folder="ingest",
        cached=False,  # the outside world may have changed behind the same path; ingest is, for each state of it
        uses_store=True,
        resources=Resources(cpu_limit=1, memory_limit="1Gi", seconds=900, retries=2),
    ),
    Stage(
        name="ingest",
        uses_store=True,
        resources=Resources(retries=2),
        large=_WHOLE_TABLE,
        warnings=[
            # Part of the lineage, which the model and a prediction's summary carry.
            Sentences("model", "training.json", ("lineage", "warnings"), written_by="train"),
            Sentences("summary", keys=("lineage", "warnings"), written_by="predict"),
        ],
    ),
    Stage(
        name="validate",
        large=_WHOLE_TABLE,
        pages=[Page("validate_page", "Validation", "what the data contract found")],
        brought=[("validate_report", _ALL)],
        warnings=[Sentences("validate_report")],
    ),
    Stage(
        name="prepare",
        large=_WHOLE_TABLE,
        pages=[Page("prepare_page", "Preparation", "what was removed, left out and warned of")],
        brought=[("splits", frozenset({"summary.json"}))],
        warnings=[Sentences("splits", "summary.json")],
        remarks=[Sentences("splits", "summary.json", ("remarks",))],
    ),
    Stage(
        name="profile",
        large=_WHOLE_TABLE,
        background=True,
        pages=[Page("profile_page", "Profile", "the table, column by column")],
        brought=[("summary", _ALL)],
        remarks=[Sentences("summary")],
    ),
    Stage(
        name="tune",
        part="each family",
        resources=Resources(memory_limit="3Gi", seconds=3600),
        large=_LEARNING,
        warnings=[Sentences("trials")],
    ),
    Stage(
        name="train",
        resources=Resources(memory_limit="4Gi", seconds=3600),
        large=_LEARNING,
        libraries=["skl2onnx", "onnxmltools", "onnxmltools.convert.lightgbm.operator_converters.LightGbm", "skops.io"],
        brought=[("model", frozenset({"golden.json", "training.json"}))],
        warnings=[Sentences("model", "training.json")],
    ),
    Stage(
        name="evaluate",
        resources=Resources(memory_limit="3Gi"),
        large=Resources(cpu=0.5, memory="2Gi"),
        headline=True,
        pages=[Page("card", "Model card", "how good the model is, and for whom")],
        brought=[("evaluate_report", _ALL)],
        warnings=[Sentences("evaluate_report", "metrics.json")],
        remarks=[Sentences("evaluate_report", "metrics.json", ("notes",))],
    ),
    Stage(
        name="gate",
        cached=False,  # the champion may have changed
        uses_store=True,
        resources=Resources(retries=2),
        large=_WHOLE_TABLE,
        headline=True,
        pages=[Page("gate_page", "Gate", "why the model was promoted or not")],
        brought=[("verdict", _ALL)],
        warnings=[Sentences("verdict")],
    ),
    Stage(
        name="publish",
        part="promoted",
        cached=False,  # the version may be gone from the store
        uses_store=True,
        resources=Resources(cpu_limit=1, memory_limit="1Gi", seconds=900, retries=2),
        headline=True,
    ),
    Stage(
        name="deploy",
        part="promoted",
        cached=False,  # another version may serve meanwhile
        uses_store=True,
        reads_log=True,  # it replays logged requests, which the stages' own keys may not read
        resources=Resources(cpu_limit=1, memory_limit="1Gi", retries=0),
        headline=True,
        pages=[Page("deploy_page", "Deployment", "how the version came to serve, and what it was proven by")],
        brought=[("endpoint", _ALL)],
        warnings=[Sentences("endpoint")],
    ),
    Stage(
        name="monitor",
        part="promoted",
        cached=False,  # the endpoint has been asked more since
        uses_store=True,
        resources=Resources(retries=2),
        large=_WHOLE_TABLE,
        background=True,
        libraries=["evidently"],
        headline=True,
        pages=[
            Page("monitor_page", "Drift", "how what the endpoint was asked differs from the version's reference"),
            Page("evidently", "Drift in detail", "Evidently's own report, with the distributions"),
            Page("history_page", "History", "every window of requests so far: what moved, how good the answers were"),
        ],
        brought=[("drift", _ALL)],
        warnings=[Sentences("drift")],
    ),
    Stage(
        name="notify",
        part="exit",
        cached=False,  # it tells what became of this run
        resources=Resources(cpu_limit=1, memory_limit="512Mi", seconds=300, retries=0),
    ),
    Stage(
        name="predict",
        part="prediction",
        cached=False,  # the champion may have changed, and the destination may be gone
        uses_store=True,
        resources=Resources(seconds=7200, retries=0),
        large=Resources(cpu=1, memory="1Gi"),
        warnings=[Sentences("summary")],
    ),
    Stage(
        name="observe",
        folder="monitor",
        part="monitoring",
        cached=False,  # the endpoint has been asked more since, and time has passed
        uses_store=True,
        reads_log=True,
        resources=Resources(retries=2),
        large=_WHOLE_TABLE,
        pages=[Page("history_page", "History", "what moved, how good the answers were, and what was decided")],
        brought=[("history", _ALL)],
    ),
)
BY_NAME: dict[str, Stage] = {stage.name: stage for stage in STAGES}
# The stages of the training pipeline, in the order in which it calls them; the exit task, which not each has, aside.
TRAINING: tuple[str, ...] = tuple(
    stage.name for stage in STAGES if stage.part in ("training", "each family", "promoted")
)

# What a configuration may name. For mypy it is a text: only pydantic, at run time, needs the choice.
if TYPE_CHECKING:
    StageName = str
else:
    StageName = Literal[tuple(stage.name for stage in STAGES)]
