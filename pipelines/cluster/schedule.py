"""Recurring runs. KFP cannot change one, so the new one is made before the old ones go: there is never none.

With a recurring run Kubernetes takes away the Workflows that it has started, those at work too, and Kubeflow Pipelines
shows their runs as running for ever. So it is disabled first, and deleted once nothing of it is at work; until then it
stays, disabled, for the next command about this schedule to delete.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from components.shared.config import Config
from components.shared.runs.workflow import ENDED
from pipelines.cluster.cron import Cron
from pipelines.cluster.kfp_api import Kfp, KfpError
from pipelines.cluster.submit import upload

if TYPE_CHECKING:
    from kfp_server_api import V2beta1RecurringRun

OFF = "off"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What became of a schedule.

    Attributes:
        version: Name of the pipeline's version that will run.
        cron: The schedule, as KFP has it.
        replaced: How many recurring runs it took the place of.
        next_times: When it comes next, UTC.
        at_work: Runs that those before have started and that still go on.
    """

    version: str
    cron: str
    replaced: int
    next_times: list[datetime]
    at_work: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unscheduled:
    """What became of the recurring runs of a configuration.

    Attributes:
        stopped: How many start nothing more.
        at_work: Runs that they have started and that still go on.
    """

    stopped: int
    at_work: list[str]


def schedule(kfp: Kfp, config: Config, cron: Cron, *, parameters: dict[str, object], account: str = "") -> Scheduled:
    """Make the recurring run of a configuration, in the place of those it has.

    Raises:
        KfpError: Kubeflow Pipelines cannot be reached or refuses. What recurred before still does.
    """
    uploaded = upload(kfp, config)
    experiment = kfp.ensure_experiment(config.name, config.description)
    name = schedule_name(config)
    before = kfp.list_schedules(experiment, name)
    made = kfp.create_schedule(
        name,
        experiment=experiment,
        pipeline=uploaded.pipeline,
        version=uploaded.version,
        cron=cron.text,
        parameters=parameters,
        description=f"{uploaded.name}, {cron.text} UTC",
        account=account,
    )
    _disable(kfp, before, made)
    at_work = _delete(kfp, before)
    replaced = sum(_is_enabled(item) for item in before)
    return Scheduled(uploaded.name, cron.text, replaced, list(islice(cron.times(datetime.now(UTC)), _SHOWN)), at_work)


def _disable(kfp: Kfp, old: "list[V2beta1RecurringRun]", made: str) -> None:
    """Disable the old recurring runs; if the first cannot be, delete the new one, so that no run comes twice."""
    for number, item in enumerate(old):
        try:
            kfp.disable_schedule(item.recurring_run_id)
        except KfpError as error:
            if number:  # another old one is stopped already: the new one has to stay
                raise KfpError(
                    f"{error}\nThe new schedule {made} is there, and so is the old one {item.recurring_run_id}."
                ) from error
            kfp.delete_schedule(made)
            raise KfpError(f"{error}\nThe schedule is as it was.") from error


def _delete(kfp: Kfp, disabled: "list[V2beta1RecurringRun]") -> list[str]:
    """Delete the recurring runs without a run at work; returns the ids of the runs that still are at work."""
    at_work: list[str] = []
    for item in disabled:
        running = [run.run_id for run in kfp.newest_runs(item.recurring_run_id) if str(run.state) not in ENDED]
        if not running:
            kfp.delete_schedule(item.recurring_run_id)
        at_work += running
    return at_work


def _is_enabled(item: "V2beta1RecurringRun") -> bool:
    return str(item.status) != "DISABLED"


def unschedule(kfp: Kfp, config: Config) -> Unscheduled:
    """Let the recurring runs of a configuration start nothing more, and remove those of which nothing is at work."""
    experiment = kfp.ensure_experiment(config.name, config.description)
    found = kfp.list_schedules(experiment, schedule_name(config))
    for item in found:
        kfp.disable_schedule(item.recurring_run_id)
    return Unscheduled(len(found), _delete(kfp, found))


def schedule_name(config: Config) -> str:
    """The name of a configuration's recurring run."""
    return f"{config.name}-schedule"
