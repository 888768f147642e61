"""The API server's answers, over HTTP; tests/cluster/ asks a real one."""

from collections.abc import Iterator

import pytest

from components.monitor.jobs import Jobs
from components.shared.errors import MonitorError
from tests.components.api_answers import ApiServer, answering

JOBS = "/apis/batch/v1/namespaces/team/jobs"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with answering() as found:
        yield found


@pytest.fixture
def jobs(server: ApiServer) -> Jobs:
    return Jobs("team", server.cluster())


def test_what_the_client_does_not_know_stays(server, jobs):
    server.answers["GET", f"{JOBS}/report"] = (200, {"metadata": {"name": "report"}, "spec": {"newerField": 1}})
    found = jobs.find("report")
    assert found is not None
    assert found["spec"]["newerField"] == 1


def test_a_job_that_is_not_there_is_none_and_one_that_is_there_is_not_made(server, jobs):
    server.answers["GET", f"{JOBS}/report"] = (404, {"message": "not found"})
    server.answers["POST", JOBS] = (409, {"message": "already exists"})
    assert jobs.find("report") is None
    assert not jobs.create({"metadata": {"name": "report"}})
    server.answers["POST", JOBS] = (201, {"metadata": {"name": "report"}})
    assert jobs.create({"metadata": {"name": "report"}, "spec": {"newerField": 1}})
    assert server.asked[-1].body["spec"] == {"newerField": 1}


def test_a_cron_job_that_is_not_there_is_named(server, jobs):
    server.answers["GET", "/apis/batch/v1/namespaces/team/cronjobs/report"] = (404, {"message": "not found"})
    with pytest.raises(MonitorError, match=r"no CronJob report in namespace team.*cluster\.namespace"):
        jobs.cron_job("report")


def test_pods_are_in_the_order_in_which_they_were_made(server, jobs):
    pods = [
        {"metadata": {"name": name, "creationTimestamp": f"2026-01-0{day}T00:00:00Z"}}
        for name, day in (("b", 2), ("a", 1))
    ]
    server.answers["GET", "/api/v1/namespaces/team/pods"] = (200, {"items": pods})
    assert [pod["metadata"]["name"] for pod in jobs.pods("report")] == ["a", "b"]
    assert "labelSelector=batch.kubernetes.io%2Fjob-name%3Dreport" in server.asked[-1].path


def test_a_right_that_is_missing_is_named(server, jobs):
    refusal = 'jobs.batch is forbidden: User "system:serviceaccount:team:pipeline-runner" cannot create resource "jobs"'
    server.answers["POST", JOBS] = (403, {"message": refusal})
    with pytest.raises(MonitorError) as error:
        jobs.create({"metadata": {"name": "report"}})
    assert refusal in str(error.value)
    assert "Apply the Role and RoleBinding fullcircle-monitor" in str(error.value)


def test_what_the_api_server_does_not_take_is_told_with_its_reason(server, jobs):
    server.answers["POST", JOBS] = (422, {"message": "spec.template: Required value"})
    with pytest.raises(
        MonitorError, match=r"refused to create Job report in namespace team \(422\): spec.template: Required"
    ):
        jobs.create({"metadata": {"name": "report"}})


def test_a_server_that_fails_or_is_gone_may_come_back(server, jobs):
    server.answers["GET", f"{JOBS}/report"] = (503, {"message": "starting"})
    with pytest.raises(ConnectionError, match="answered 503"):
        jobs.find("report")
    server.server_close()
    server.shutdown()
    with pytest.raises(ConnectionError, match="does not answer"):
        jobs.find("report")


def test_a_process_that_is_no_pod_is_told_so(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(MonitorError, match="cannot speak to the API server"):
        Jobs.of_this_pod()
