"""Recurring runs, on a server that speaks KFP's API over HTTP."""

import copy
from collections.abc import Iterator
from pathlib import Path

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
    assert changes == ["POST ", "DELETE "]


def test_what_cannot_be_replaced_stays_as_it_was(kfp, tmp_path):
    schedule("17 3 * * *", tmp_path, kfp)
    kfp.refuses = {"POST recurringruns": 500}

    code, output = schedule("17 4 * * *", tmp_path, kfp)

    assert code == 1
    assert "create the recurring run wine-schedule" in output
    assert [item.trigger.cron_schedule.cron for item in kfp.schedules] == ["0 17 3 * * *"]


def test_when_the_old_one_cannot_be_removed_the_new_one_is_taken_back(kfp, tmp_path):
    schedule("17 3 * * *", tmp_path, kfp)
    old = kfp.schedules[0].recurring_run_id
    kfp.refuses = {f"DELETE recurringruns/{old}": 500}

    code, output = schedule("17 4 * * *", tmp_path, kfp)

    assert code == 1
    assert "The schedule is as it was." in output
    assert [item.recurring_run_id for item in kfp.schedules] == [old]


def test_off_removes_it_and_says_when_there_is_none(kfp, tmp_path):
    schedule("@daily", tmp_path, kfp)

    assert schedule("off", tmp_path, kfp) == (0, "wine no longer runs by itself.\n")
    assert kfp.schedules == []
    assert schedule("OFF", tmp_path, kfp) == (0, "wine had no schedule.\n")


def test_what_is_no_schedule_is_refused_before_anything_is_asked(kfp, tmp_path):
    code, output = schedule("every day", tmp_path, kfp)

    assert code == 1
    assert "CRON: 'every day' has 2 fields" in output
    assert kfp.asked == []


def test_when_one_of_several_is_gone_already_the_new_one_stays(kfp, tmp_path):
    schedule("17 3 * * *", tmp_path, kfp)
    second = copy.copy(kfp.schedules[0])
    second.recurring_run_id = "second"
    kfp.schedules.append(second)
    kfp.refuses = {"DELETE recurringruns/second": 500}

    code, output = schedule("17 4 * * *", tmp_path, kfp)

    assert code == 1
    assert "is there, and so is the old one second" in output
    assert [item.trigger.cron_schedule.cron for item in kfp.schedules] == ["0 17 3 * * *", "0 17 4 * * *"]
