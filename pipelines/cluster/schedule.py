"""Recurring runs. KFP cannot change one, so the new one is made before the old ones go: there is never none."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from components.shared.config import Config
from pipelines.cluster.cron import Cron
from pipelines.cluster.kfp_api import Kfp, KfpError
from pipelines.cluster.submit import upload

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
    """

    version: str
    cron: str
    replaced: int
    next_times: list[datetime]


def schedule(kfp: Kfp, config: Config, cron: Cron, *, parameters: dict[str, Any], account: str = "") -> Scheduled:
    """Make the recurring run of a configuration, in the place of those it has.

    Raises:
        KfpError: Kubeflow Pipelines cannot be reached or refuses. What recurred before still does.
    """
    uploaded = upload(kfp, config)
    experiment = kfp.ensure_experiment(config.name, config.description)
    name = schedule_name(config)
    before = [item.recurring_run_id for item in kfp.list_schedules(experiment, name)]
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
    _remove(kfp, before, made)
    return Scheduled(uploaded.name, cron.text, len(before), list(islice(cron.times(datetime.now(UTC)), _SHOWN)))


def _remove(kfp: Kfp, old: list[str], made: str) -> None:
    """Remove what the new one replaces; when that fails, take the new one back, so that no run comes twice."""
    for number, schedule_id in enumerate(old):
        try:
            kfp.delete_schedule(schedule_id)
        except KfpError as error:
            if number:  # another old one is gone already: the new one has to stay
                raise KfpError(
                    f"{error}\nThe new schedule {made} is there, and so is the old one {schedule_id}."
                ) from error
            kfp.delete_schedule(made)
            raise KfpError(f"{error}\nThe schedule is as it was.") from error


def unschedule(kfp: Kfp, config: Config) -> int:
    """Remove the recurring runs of a configuration; how many there were."""
    experiment = kfp.ensure_experiment(config.name, config.description)
    found = kfp.list_schedules(experiment, schedule_name(config))
    for item in found:
        kfp.delete_schedule(item.recurring_run_id)
    return len(found)


def schedule_name(config: Config) -> str:
    """The name of a configuration's recurring run."""
    return f"{config.name}-schedule"
