"""Recurring runs, on a server that speaks KFP's API over HTTP."""

import copy
from collections.abc import Iterator
from pathlib import Path

import kfp_server_api as api
import pytest

from tests.pipelines.command_line import WINE, call_here
from tests.pipelines.kfp_server import Server, serving


@pytest.fixture
def kfp() -> Iterator[Server]:
    with serving() as server:
        yield server


def schedule(cron: str, folder: Path, kfp: Server, *options: str) -> tuple[int, str]:
    return call_here("schedule", WINE, cron, "--host", kfp.url, *options, folder=folder, KUBECONFIG="/nowhere")


def test_it_is_made_with_six_fields_no_catch_up_and_one_at_a_time(kfp, tmp_path):
    code, output = schedule("17 3 * * mon", tmp_path, kfp, "--paths", '{"wine": "s3://b/k"}')

    assert code == 0, output
    (made,) = kfp.schedules
    assert made.trigger.cron_schedule.cron == "0 17 3 * * mon"
    assert made.no_catchup is True
    assert int(made.max_concurrency) == 1
    assert made.mode == "ENABLE"
    assert made.runtime_config.parameters["paths"] == '{"wine": "s3://b/k"}'
    assert made.pipeline_version_reference.pipeline_version_id == kfp.versions[0].pipeline_version_id
    assert output.count(" UTC\n") == 3
    assert "Mon " in output


def test_a_new_one_takes_the_place_of_the_old_one_and_is_made_first(kfp, tmp_path):
    schedule("17 3 * * *", tmp_path, kfp)
    kfp.asked.clear()

    code, output = schedule("17 4 * * *", tmp_path, kfp)

    assert code == 0, output
    assert [item.trigger.cron_schedule.cron for item in kfp.schedules] == ["0 17 4 * * *"]
    assert "in the place of the schedule before" in output
    changes = [asked.split("/")[0] for asked in kfp.asked if "recurringruns" in asked and "GET" not in asked]
    assert changes == ["POST ", "POST ", "DELETE "]


def test_what_cannot_be_replaced_stays_as_it_was(kfp, tmp_path):
    schedule("17 3 * * *", tmp_path, kfp)
    kfp.refuses = {"POST recurringruns": 500}

    code, output = schedule("17 4 * * *", tmp_path, kfp)

    assert code == 1
    assert "create the recurring run wine-schedule" in output
    assert [item.trigger.cron_schedule.cron for item in kfp.schedules] == ["0 17 3 * * *"]


def test_when_the_old_one_cannot_be_stopped_the_new_one_is_taken_back(kfp, tmp_path):
    schedule("17 3 * * *", tmp_path, kfp)
    old = kfp.schedules[0].recurring_run_id
    kfp.refuses = {f"POST recurringruns/{old}:disable": 500}

    code, output = schedule("17 4 * * *", tmp_path, kfp)

    assert code == 1
    assert "The schedule is as it was." in output
    assert [item.recurring_run_id for item in kfp.schedules] == [old]


def test_off_removes_it_and_says_when_there_is_none(kfp, tmp_path):
    schedule("@daily", tmp_path, kfp)

    assert schedule("off", tmp_path, kfp) == (0, "wine no longer runs by itself.\n")
    assert kfp.schedules == []
    assert schedule("OFF", tmp_path, kfp) == (0, "wine had no schedule.\n")


def started_by(kfp: Server, schedule_id: str, state: str) -> str:
    run = api.V2beta1Run(run_id=f"run-{len(kfp.runs)}", recurring_run_id=schedule_id, state=state)
    kfp.runs.append(run)
    return str(run.run_id)


def test_a_run_at_work_is_left_to_end_and_its_schedule_is_deleted_after_it(kfp, tmp_path):
    schedule("@daily", tmp_path, kfp)
    (made,) = kfp.schedules
    started_by(kfp, made.recurring_run_id, "SUCCEEDED")
    at_work = started_by(kfp, made.recurring_run_id, "RUNNING")
    started_by(kfp, "another", "RUNNING")

    code, output = schedule("off", tmp_path, kfp)

    assert code == 0, output
    assert "wine no longer runs by itself." in output
    assert output.count("goes on") == 1
    assert f"#/runs/details/{at_work}" in output
    assert [item.status for item in kfp.schedules] == ["DISABLED"]
    assert not any(asked.startswith("DELETE") for asked in kfp.asked)

    kfp.runs[1].state = "SUCCEEDED"
    code, output = schedule("off", tmp_path, kfp)

    assert code == 0, output
    assert "goes on" not in output
    assert kfp.schedules == []


def test_a_run_at_work_survives_the_schedule_that_takes_the_place_of_its_own(kfp, tmp_path):
    schedule("17 3 * * *", tmp_path, kfp)
    at_work = started_by(kfp, kfp.schedules[0].recurring_run_id, "RUNNING")

    code, output = schedule("17 4 * * *", tmp_path, kfp)

    assert code == 0, output
    assert "in the place of the schedule before" in output
    assert f"#/runs/details/{at_work}" in output
    assert [item.status for item in kfp.schedules] == ["DISABLED", "ENABLED"]

    kfp.runs[0].state = "FAILED"
    code, output = schedule("17 5 * * *", tmp_path, kfp)

    assert code == 0, output
    assert [item.trigger.cron_schedule.cron for item in kfp.schedules] == ["0 17 5 * * *"]


def test_what_is_no_schedule_is_refused_before_anything_is_asked(kfp, tmp_path):
    code, output = schedule("every day", tmp_path, kfp)

    assert code == 1
    assert "CRON: 'every day' has 2 fields" in output
    assert kfp.asked == []


def test_when_one_of_several_is_stopped_already_the_new_one_stays(kfp, tmp_path):
    schedule("17 3 * * *", tmp_path, kfp)
    second = copy.copy(kfp.schedules[0])
    second.recurring_run_id = "second"
    kfp.schedules.append(second)
    kfp.refuses = {"POST recurringruns/second:disable": 500}

    code, output = schedule("17 4 * * *", tmp_path, kfp)

    assert code == 1
    assert "is there, and so is the old one second" in output
    assert [item.status for item in kfp.schedules] == ["DISABLED", "ENABLED", "ENABLED"]
