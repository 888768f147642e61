"""Submitting to a server that speaks KFP's API over HTTP, with KFP's own client."""

import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines import __main__ as command_line
from tests.pipelines.cluster.runs import NOWHERE, put, stage_pod
from tests.pipelines.command_line import WINE, call_here, read_until, start, write_config
from tests.pipelines.kfp_server import look, node, serving


def finished(*more: Any) -> Any:
    return look("SUCCEEDED", node("ingest", "SUCCEEDED", number="11", seconds=4), *more)


def submit(folder: Path, *options: str, host: str, **environment: str) -> tuple[int, str]:
    command = ("submit", WINE, "--host", host, "--seconds", "0.05", *options)
    return call_here(*command, folder=folder, **{**NOWHERE, **environment})


def test_a_run_is_uploaded_started_and_followed(kfp, tmp_path):
    driver, begun = node("ingest-driver", "SUCCEEDED"), node("ingest", "RUNNING", number="11")
    kfp.looks = [
        look("PENDING"),
        look("RUNNING", node("root", "RUNNING"), driver, begun),
        finished(node("profile", "RUNNING", number="12")),
    ]

    code, output = submit(tmp_path, "--window-start", "2026-01-01", "--force", host=kfp.url)

    assert code == 0, output
    assert "\u2713 ingest                           4.0 s" in output
    assert "driver" not in output
    (run,) = kfp.runs
    assert f"{kfp.url}/#/runs/details/{run.run_id}" in output
    assert run.runtime_config.parameters == {
        "window_start": "2026-01-01", "window_end": "", "paths": "", "force_promotion": True
    }  # fmt: skip
    assert [item.display_name for item in kfp.pipelines] == ["wine"]
    assert [item.display_name for item in kfp.experiments] == ["wine"]
    assert run.pipeline_version_reference.pipeline_version_id == kfp.versions[0].pipeline_version_id
    assert kfp.versions[0].pipeline_spec["pipelineInfo"]["name"] == "wine"
    assert "could not be brought here" in output


def test_the_same_content_is_uploaded_once_and_another_becomes_another_version(kfp, tmp_path):
    changed = write_config(tmp_path / "wine.yaml", train={"one_hot_limit": 7})
    for _ in range(2):
        assert submit(tmp_path, "--no-follow", host=kfp.url)[0] == 0
    code, output = call_here("submit", changed, "--host", kfp.url, "--no-follow", folder=tmp_path, **NOWHERE)

    assert code == 0, output
    assert len(kfp.pipelines) == len(kfp.experiments) == 1
    assert len(kfp.versions) == 2
    assert len({version.display_name for version in kfp.versions}) == 2
    assert len(kfp.runs) == 3
    assert f"make follow CONFIG={changed} RUN={kfp.runs[-1].run_id} HOST={kfp.url}" in output


def test_a_failed_run_ends_with_its_diagnosis_and_exit_code_1(kfp, tmp_path):
    kfp.looks = [
        look("RUNNING", node("train", "RUNNING", number="31")),
        look("FAILED", node("train", "FAILED", number="31", seconds=9, error="OOMKilled (exit code 137)")),
    ]

    code, output = submit(tmp_path, host=kfp.url)

    assert code == 1
    assert "\u2717 train" in output
    assert "OOMKilled (exit code 137)" in output
    assert kfp.runs[0].run_id in output


def test_stages_in_the_loop_have_their_familys_name_and_cached_ones_are_said_to_be(kfp, tmp_path):
    kfp.looks = [
        look(
            "SUCCEEDED",
            node("for-loop-1", "SUCCEEDED", number="1", children=["2", "3"]),
            node("iteration-item(0:0)", "SUCCEEDED", number="2", children=["4"]),
            node("iteration-item(1:1)", "SUCCEEDED", number="3", children=["5"]),
            node("tune", "SUCCEEDED", number="4", seconds=3),
            node("tune", "SUCCEEDED", number="5", seconds=4),
            node("train", "SUCCEEDED", number="6", children=["7"], seconds=2),
            node("executor", "SKIPPED", number="7"),
            node("publish", "SKIPPED", number="8"),
        )
    ]
    families = ["linear", "lightgbm"]
    config = write_config(tmp_path / "wine.yaml", search={"families": families})

    code, output = call_here("submit", config, "--host", kfp.url, "--seconds", "0.05", folder=tmp_path, **NOWHERE)

    assert code == 0, output
    assert "tune (linear)                    3.0 s" in output
    assert "tune (lightgbm)                  4.0 s" in output
    assert "the same as in an earlier run (cached)" in output
    assert "publish" not in output


def test_with_the_artifacts_at_hand_the_summary_is_that_of_a_local_run(kfp, store, tmp_path):
    stages = [node(name, "SUCCEEDED", number=f"2{number}") for number, name in enumerate(("train", "gate", "deploy"))]
    kfp.looks = [finished(*stages)]
    artifacts = store.for_bucket("mlpipeline")
    artifacts.ensure_bucket()
    verdict = {"promoted": True, "forced": False, "checks": [{"holds": True}], "reasons": ["better"]}
    endpoint = {"url": "http://wine.example/v1/models/wine:predict", "version": "0a1b2c"}

    submit(tmp_path, "--no-follow", host=kfp.url)
    run = kfp.runs[0].run_id
    put(artifacts, run, "gate", "verdict", verdict)
    put(artifacts, run, "deploy", "endpoint", endpoint)
    put(artifacts, run, "train", "model/golden.json", [{"row": {"hue": 1.5}}])
    put(artifacts, run, "train", "model/model.onnx", "not needed here")
    artifacts.put_bytes(f"v2/artifacts/wine/{run}/gate/a1/gate_page", b"<html></html>")
    command = ("follow", WINE, run, "--host", kfp.url, "--seconds", "0.05")
    code, output = call_here(*command, folder=tmp_path, **NOWHERE, **store.settings.environment())

    assert code == 0, output
    assert " Gate      promoted (1 of 1 checks hold)\n" in output
    assert "· better" in output
    assert " Endpoint  http://wine.example/v1/models/wine:predict\n" in output
    assert "hue" in output
    folder = tmp_path / "build/runs/wine" / run
    assert "0a1b2c" in (folder / "index.html").read_text()
    assert (folder / "pages/gate-page.html").is_file()
    assert not (folder / "artifacts/train/model/model.onnx").exists()


def test_what_stages_say_and_where_artifacts_are_comes_from_the_cluster(kfp, cluster, store, tmp_path):
    api, environment = cluster
    submit(tmp_path, "--no-follow", host=kfp.url)
    run = kfp.runs[0].run_id
    kfp.looks = [finished(node("gate", "SUCCEEDED", number="21"))]
    api.add(stage_pod(run, "ingest", phase="Succeeded"), "kubeflow")
    api.logs["wine-ingest"] = "▸ 178 rows\n"
    put(store, run, "gate", "verdict", {"promoted": False, "checks": [{"holds": False}], "reasons": ["worse"]})

    command = ("follow", WINE, run, "--host", kfp.url, "--seconds", "0.05")
    code, output = call_here(*command, folder=tmp_path, **environment)

    assert code == 0, output
    assert "✓ ingest                           4.0 s  178 rows\n" in output
    assert " Gate      not promoted (0 of 1 checks hold)\n" in output
    assert "\n            · worse\n" in output
    assert (tmp_path / "build/runs/wine" / run / "logs/ingest.log").read_text() == "▸ 178 rows\n"


def test_a_failed_stages_own_words_end_the_run(kfp, cluster, tmp_path):
    api, environment = cluster
    submit(tmp_path, "--no-follow", host=kfp.url)
    run = kfp.runs[0].run_id
    kfp.looks = [look("FAILED", node("ingest", "FAILED", number="11", seconds=2))]
    ended = {"name": "main", "state": {"terminated": {"exitCode": 1}}}
    api.add(stage_pod(run, "ingest", phase="Failed", containerStatuses=[ended]), "kubeflow")
    api.logs["wine-ingest"] = "Traceback (most recent call last):\nSourceError: The table wine has no rows.\n"

    command = ("follow", WINE, run, "--host", kfp.url, "--seconds", "0.05")
    code, output = call_here(*command, folder=tmp_path, **environment)

    assert code == 1
    assert " ✗ ingest: The table wine has no rows.\n   (the container main ended with exit code 1)\n" in output


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("configmaps/kfp-launcher", "names no endpoint for minio://"),
        ("secrets/keys", "the secret keys of kubeflow has no"),
        ("nothing", "holds none"),
    ],
)
def test_why_there_are_no_pages_is_said(kfp, cluster, missing, reason, tmp_path):
    api, environment = cluster
    submit(tmp_path, "--no-follow", host=kfp.url)
    kfp.looks = [finished()]
    api.objects.pop(f"/api/v1/namespaces/kubeflow/{missing}", None)

    command = ("follow", WINE, kfp.runs[0].run_id, "--host", kfp.url, "--seconds", "0.05")
    code, output = call_here(*command, folder=tmp_path, **environment)

    assert code == 0, output
    assert "they could not be brought here" in output
    assert reason in output


def test_ctrl_c_leaves_the_run_running_and_says_how_to_follow_it_again(kfp, tmp_path):
    kfp.looks = [
        look("RUNNING", node("ingest", "SUCCEEDED", number="11", seconds=1), node("train", "RUNNING", number="12"))
    ]
    command = ("submit", WINE, "--host", kfp.url, "--seconds", "0.05")

    # Where the tests run in the background, SIGINT is ignored from the start, and by what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        started = start(*command, folder=tmp_path, **NOWHERE)
    finally:
        signal.signal(signal.SIGINT, before)
    with started as process:
        seen = read_until(process, "\u2713 ingest")
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()

    assert process.returncode == 130, seen + rest
    assert f"The run goes on. Follow it again: make follow CONFIG={WINE} RUN={kfp.runs[0].run_id}" in rest
    assert "Nothing of this run is left running" not in rest
    assert not any("terminate" in asked or asked.startswith("DELETE") for asked in kfp.asked)


def test_a_token_is_sent_and_its_absence_is_named(tmp_path):
    (tmp_path / "token").write_text("t0ken\n", encoding="utf-8")
    with serving(token="t0ken") as kfp:
        from_environment = submit(tmp_path, "--no-follow", host=kfp.url, FULLCIRCLE_KFP_TOKEN="t0ken")
        from_file = submit(tmp_path, "--no-follow", "--token-file", str(tmp_path / "token"), host=kfp.url)
        without = submit(tmp_path, "--no-follow", host=kfp.url)
        wrong = submit(tmp_path, "--no-follow", host=kfp.url, FULLCIRCLE_KFP_TOKEN="other")

    assert from_environment[0] == from_file[0] == 0, from_environment[1] + from_file[1]
    assert without[0] == wrong[0] == 1
    assert "it wants a token (401" in without[1]
    assert "TOKEN=" in without[1]
    assert "the token was not accepted" in wrong[1]
    assert "t0ken" not in from_environment[1] + from_file[1]


def test_with_several_users_requests_name_the_namespace(tmp_path):
    with serving(namespaces=("ann",)) as kfp:
        code, output = submit(tmp_path, "--no-follow", "--namespace", "ann", host=kfp.url)
        refused = submit(tmp_path, "--no-follow", "--namespace", "bob", host=kfp.url)

    assert code == 0, output
    assert kfp.experiments[0].namespace == "ann"
    assert refused[0] == 1
    assert "not allowed" in refused[1]
    assert "NAMESPACE (now bob)" in refused[1]


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("http://127.0.0.1:1", "nothing answers there (Connection refused)"),
        ("http://no-such-host.invalid", "the host name is not known"),
    ],
)
def test_a_host_that_does_not_answer_is_named_at_once(host, named, tmp_path):
    code, output = submit(tmp_path, host=host)

    assert code == 1
    assert f"at {host}" in output
    assert named in output
    assert "HOST" in output
    assert "Traceback" not in output


class SignIn(BaseHTTPRequestHandler):
    """A page, whatever is asked."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>Sign in</html>")

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_a_page_to_sign_in_at_is_not_taken_for_an_answer(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), SignIn) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        code, output = submit(tmp_path, host=f"http://127.0.0.1:{http.server_port}")
        http.shutdown()
        thread.join()

    assert code == 1
    assert "not as Kubeflow Pipelines does: with a page to sign in at, perhaps" in output
    assert "TOKEN" in output


def test_without_a_host_and_without_a_cluster_it_asks_for_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)

    assert command_line.main(["submit", str(WINE), "--no-follow"]) == 1

    said = capsys.readouterr().err
    assert "HOST=http://localhost:8080" in said
    assert "port-forward service/ml-pipeline-ui 8080:80" in said
    assert "/nowhere/kubeconfig" in said


@pytest.mark.parametrize(
    ("refused", "status", "named"),
    [
        ("POST runs", 500, "start the run wine"),
        ("POST pipelines/upload_version", 400, "upload"),
        ("GET pipelines", 503, "list the pipelines"),
        ("POST experiments", 403, "experiment wine"),
    ],
)
def test_what_the_service_refuses_is_named_with_its_words(kfp, refused, status, named, tmp_path):
    kfp.refuses = {refused: status}

    code, output = submit(tmp_path, "--no-follow", host=kfp.url)

    assert code == 1
    assert named in output
    assert str(status) in output
    assert "it does not want to" in output
    assert "Traceback" not in output


def test_a_run_that_is_not_there(kfp, tmp_path):
    code, output = call_here("follow", WINE, "none-such", "--host", kfp.url, folder=tmp_path, **NOWHERE)

    assert code == 1
    assert "Could not look up the run none-such" in output
    assert "Run none-such not found" in output


@pytest.mark.parametrize("command", [("follow", WINE, ""), ("diagnose", " ")])
def test_a_run_has_to_be_named(command, tmp_path):
    code, output = call_here(*command, folder=tmp_path, **NOWHERE)

    assert code == 1
    assert "RUN=…" in output


def test_a_wrong_host_that_answers_something_else(tmp_path, s3):
    code, output = submit(tmp_path, host=s3.endpoint)

    assert code == 1
    assert s3.endpoint in output
    assert "Traceback" not in output
