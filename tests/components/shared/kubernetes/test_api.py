from collections.abc import Iterator

import pytest

from components.shared.kubernetes.api import Cluster, ClusterError, context_and_namespace, in_pod
from tests.components.api_answers import ApiServer, answering

PODS = "/api/v1/namespaces/team/pods"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with answering() as found:
        yield found


def test_objects_are_what_their_yaml_says(server):
    server.answers["GET", PODS] = (200, {"items": [{"metadata": {"name": "one"}, "spec": {"newerField": 1}}]})

    (found,) = server.cluster().list(PODS, labelSelector="a=b")

    assert found["spec"] == {"newerField": 1}
    assert server.asked[0].path == f"{PODS}?labelSelector=a%3Db"


def test_what_is_not_there_is_none_unless_it_is_read(server):
    status = {"message": 'pods "one"\n not found', "details": {"name": "one", "kind": "pods"}}
    server.answers["GET", f"{PODS}/one"] = server.answers["DELETE", f"{PODS}/one"] = (404, status)
    cluster = server.cluster()

    assert cluster.get(f"{PODS}/one") is None
    assert cluster.list(f"{PODS}/one") == []
    cluster.delete(f"{PODS}/one")
    with pytest.raises(ClusterError, match=r'GET .*/pods/one at http://127.*: 404 pods "one" not found') as caught:
        cluster.read(f"{PODS}/one")
    assert (caught.value.status, caught.value.said) == (404, 'pods "one" not found')
    assert caught.value.details == {"name": "one", "kind": "pods"}


@pytest.mark.parametrize("body", ["<html>", "[]", "null", "{}"])
def test_a_refusal_that_is_not_the_api_servers_is_told_by_its_reason(server, body):
    server.answers["GET", PODS] = (403, body)

    with pytest.raises(ClusterError) as caught:
        server.cluster().list(PODS)

    assert (caught.value.is_forbidden, caught.value.said, caught.value.details) == (True, "Forbidden", {})


def test_an_apply_is_one_of_the_server_side(server):
    server.answers["PATCH", f"{PODS}/one"] = (200, {"metadata": {"name": "one", "generation": 2}})

    made = server.cluster().apply(f"{PODS}/one", {"metadata": {"name": "one"}}, fieldManager="us", force="true")

    assert made["metadata"]["generation"] == 2
    (asked,) = server.asked
    assert (asked.path, asked.content) == (f"{PODS}/one?fieldManager=us&force=true", "application/apply-patch+yaml")
    assert asked.body == {"metadata": {"name": "one"}}


def test_what_is_removed_goes_at_once_unless_told_otherwise(server):
    server.answers["DELETE", f"{PODS}/one"] = (200, {})
    cluster = server.cluster()

    cluster.delete(f"{PODS}/one")
    cluster.delete(f"{PODS}/one", preconditions={"uid": "u"})

    assert [asked.body for asked in server.asked] == [
        {"propagationPolicy": "Background", "gracePeriodSeconds": 0},
        {"propagationPolicy": "Background", "preconditions": {"uid": "u"}},
    ]


def test_a_log_is_text_even_where_it_is_json(server):
    server.answers["GET", f"{PODS}/one/log"] = (200, '{"a": 1}')
    assert server.cluster().log("team", "one", "main", lines=5) == '{"a": 1}'
    server.answers["GET", f"{PODS}/one/log"] = (400, {"message": "waiting to start"})
    assert server.cluster().log("team", "one", "main", lines=5) == ""


def test_a_server_that_is_gone(server):
    cluster = server.cluster()
    server.server_close()

    with pytest.raises(ClusterError, match="cannot be reached") as caught:
        cluster.list(PODS)

    assert caught.value.status == 0
    assert caught.value.said


def test_a_process_that_is_no_pod_and_has_no_kubeconfig(monkeypatch, tmp_path):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert not in_pod()
    with pytest.raises(ClusterError, match="This pod cannot speak to the API server: Service host/port is not set"):
        Cluster.of_this_pod()
    with pytest.raises(ClusterError, match="The kubeconfig cannot be used"):
        context_and_namespace()
    with pytest.raises(ClusterError, match="No cluster is named"):
        Cluster.connect()
