"""Against a real model server that logs to a real object store."""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.deploy.comparison import compare
from components.deploy.dark_launch import Answered, DarkLaunch, answer_again, check, compared, prove
from components.deploy.deployed import Deployed
from components.deploy.logged_requests import LoggedRequests, newest_requests
from components.deploy.page import deployment_page
from components.deploy.replay import replay_golden
from components.shared.config import DarkLaunchConfig
from components.shared.errors import DeployError
from components.shared.inference_log.access import ACCESS_KEY, SECRET_KEY, log_store
from components.shared.inference_log.compaction import compact_log
from components.shared.package.model_package import read_golden, verify
from components.shared.package.proof import HEADER, proof_token
from components.shared.package.scoring import Scorer
from components.shared.store import Store, StoreSettings
from components.shared.tasks import TASKS
from tests.helpers import make_manifest, make_package
from tests.images.predictor.serving import NAME, Server, serving, until
from tests.ports import free_port

EASY = DarkLaunchConfig(latency_ms=5000)
SETTINGS = json.dumps({"log": {"flush_seconds": 0.1}})


@pytest.fixture(scope="module")
def package(packages: Callable[[], Path]) -> Path:
    return packages()


@pytest.fixture(scope="module")
def scorer(package) -> Scorer:
    return Scorer.load(package, version=verify(package).version)


@pytest.fixture
def server(package, store: Store, tmp_path) -> Iterator[Server]:
    environment = store.settings.environment()
    with serving(package, free_port(), tmp_path / "log", store=environment, settings=SETTINGS) as found:
        yield found


def rows_of(package: Path) -> list[dict[str, object]]:
    return [request.row for request in read_golden(package)]


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}{server.path}:predict"


def read(store: Store, scorer: Scorer, **limits: int) -> LoggedRequests:
    return newest_requests(store, NAME, scorer.schema, **{"requests": 100, "rows": 100, "largest": 100, **limits})


def test_what_was_asked_is_asked_again(server, store, package, scorer):
    rows = rows_of(package)
    asked = [rows[:1], rows[1:4], rows[:5], rows[4:5]]
    for number, request in enumerate(asked):
        assert server.predict(request, f"id-{number % 2}")[0] == 200  # ids may come again
        # Files of the log are in the order of their writing.
        until(lambda: sum(map(len, asked[: number + 1])) == logged_rows(store))  # noqa: B023, called at once
    found = read(store, scorer)
    assert found.remarks == ()
    assert [len(request) for request in found.requests] == [1, 3, 5, 1]
    assert [len(request) for request in read(store, scorer, requests=2).requests] == [5, 1]
    assert [len(request) for request in read(store, scorer, rows=9).requests] == [3, 5, 1]
    left = read(store, scorer, largest=4)
    assert [len(request) for request in left.requests] == [1, 3, 1]
    assert left.remarks == ("1 logged requests were left out: of more than 4 rows, which the configuration allows",)
    compact_log(store, NAME, now=datetime.now(UTC) + timedelta(hours=2))
    assert read(store, scorer).requests == found.requests
    assert [len(request) for request in read(store, scorer, rows=9).requests] == [3, 5, 1]
    # Last: they are logged, too.
    assert prove(url_of(server), found, scorer, EASY)["p99"] > 0
    answered = answer_again(url_of(server), found.requests, version=scorer.version)
    again = answer_again(url_of(server), asked, version=scorer.version)
    assert answered.answers == again.answers  # the log tells all that the model needs


def logged_rows(store: Store) -> int:
    keys = [item.key for item in store.list(f"inference/{NAME}/")]
    return sum(pq.read_metadata(io.BytesIO(store.get_bytes(key))).num_rows for key in keys)


def test_files_of_the_log_that_do_not_fit_are_left_out(server, store, package, scorer, tmp_path):
    server.predict(rows_of(package)[:2])
    until(lambda: logged_rows(store) == 2)
    (item,) = store.list(f"inference/{NAME}/")
    store.get_file(item.key, tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    pq.write_table(table.drop_columns(["amount"]), tmp_path / "other.parquet")
    store.put_file(f"{item.key}-left-out.parquet", tmp_path / "other.parquet")
    store.put_bytes(f"{item.key}-damaged.parquet", b"PAR1")
    pq.write_table(table.slice(1), tmp_path / "cut.parquet")
    store.put_file(f"{item.key[:-8]}-0.parquet", tmp_path / "cut.parquet")
    found = read(store, scorer)
    assert [len(request) for request in found.requests] == [2]
    assert found.remarks[0].startswith("2 files of the log were left out")


def test_without_a_log_there_is_nothing_to_ask(store, scorer):
    found = read(store, scorer)
    assert found == LoggedRequests([])
    assert prove("http://127.0.0.1:1/none", found, scorer, EASY) == {}


def test_a_log_that_may_not_be_read(s3: StoreSettings, store, scorer):
    wrong = log_store(store, {ACCESS_KEY: s3.access_key, SECRET_KEY: "wrong"})
    assert wrong.settings.bucket == store.settings.bucket
    with pytest.raises(DeployError, match=r"cannot be read: .*Give keys that may read it in FULLCIRCLE_LOG_ACCESS_KEY"):
        read(wrong, scorer)
    assert log_store(store, {ACCESS_KEY: "only one"}) is store


def test_answers_are_held_against_batch_scoring(package, scorer):
    rows = rows_of(package)
    right = [request.answer for request in read_golden(package)]
    check(Answered(answers=right, seconds=[0.1]), [rows], scorer, EASY)
    wrong = json.loads(json.dumps(right))
    wrong[3]["probabilities"]["true"] += 0.01
    with pytest.raises(
        DeployError, match=r"1 of 5 logged rows are answered otherwise than by batch scoring; request 3"
    ):
        check(Answered(answers=wrong, seconds=[0.1]), [rows], scorer, EASY)


def test_times_are_held_against_the_budget(package, scorer):
    rows, right = rows_of(package), [request.answer for request in read_golden(package)]
    slow = Answered(answers=right[:1] * 100, seconds=[0.01] * 97 + [0.6] * 3)
    with pytest.raises(DeployError, match=r"1 of 100 logged requests takes 600\.0 ms or longer; .*allows 500"):
        check(slow, [rows[:1]] * 100, scorer, DarkLaunchConfig())
    check(slow.model_copy(update={"seconds": [0.01] * 99 + [0.6]}), [rows[:1]] * 100, scorer, DarkLaunchConfig())


def test_a_request_that_is_refused_or_not_answered(server, package):
    url = url_of(server)
    with pytest.raises(DeployError, match=r"logged request 2 of 2|logged request 2 was answered 400 .*visits"):
        answer_again(url, [rows_of(package)[:1], [{"amount": 1}]], version=verify(package).version)
    with pytest.raises(DeployError, match="logged request 1 was answered 200 instead of 1 predictions"):
        answer_again(url, [rows_of(package)[:1]], version="another")
    with pytest.raises(DeployError, match="logged request 1 of 1 got no answer"):
        answer_again("http://127.0.0.1:9/v1/models/demo:predict", [rows_of(package)[:1]], version="abc")


@pytest.mark.parametrize("task", TASKS)
def test_how_two_versions_differ(task, packages, tmp_path):
    one = packages(task)
    other = make_package(tmp_path / "other", task=task, noise=0.5)
    make_manifest(other)
    rows = rows_of(one)
    before, now = (Scorer.load(folder, version=verify(folder).version) for folder in (one, other))
    same, found = compare(rows, before, before), compare(rows, before, now)
    assert (same.changed, same.largest_difference, same.examples) == (0, 0, [])
    assert found.rows == len(rows)
    assert 0 < found.mean_difference <= found.p99_difference <= found.largest_difference
    assert found.examples[0].difference == found.largest_difference
    assert {"before", "now", "difference"} == set(found.examples[0].model_dump())  # what was asked stays in the log
    if not TASKS[task].has_classes:
        assert (found.changed, found.labels_now) == (1.0, {})
        assert found.mean_now is not None
    else:
        assert sum(found.labels_before.values()) == sum(found.labels_now.values()) == len(rows)
        assert found.largest_difference <= 1
        assert (found.mean_now is None) == (not TASKS[task].is_one_number)
    launch = DarkLaunch(ran=True, version=now.version, candidate="demo-candidate", comparison=found, compared="5 rows")
    page = deployment_page(deployed(launch)).render()
    assert "Answers that differ most" in page
    assert "5 rows" in page


def deployed(launch: DarkLaunch | None) -> Deployed:
    return Deployed(
        name="demo",
        version="abc",
        url="http://demo/",
        replaced="abd",
        golden_requests=5,
        seconds=8.0,
        rollout="rolling",
        dark_launch=launch,
        remarks=("no canary",),
    )


def test_versions_that_cannot_be_compared(packages, package, scorer, tmp_path):
    golden = read_golden(package)
    other = Scorer.load(packages("regression"), version="other")
    assert compared(LoggedRequests([]), golden, other, scorer) == (
        None, "not compared: the versions predict different things",
    )  # fmt: skip
    found, words = compared(LoggedRequests([]), golden, scorer, scorer)
    assert found is not None
    assert words == "5 golden requests"
    demanding = shutil.copytree(package, tmp_path / "demanding")
    schema = (demanding / "schema.json").read_text()
    (demanding / "schema.json").write_text(schema.replace('"name": "visits"', '"name": "guests"'))
    _, words = compared(LoggedRequests([]), golden, Scorer.load(demanding, version="old"), scorer)
    assert words.startswith("not compared: version old does not take these rows: Row 0: column 'guests' is missing")
    assert "not compared" in deployment_page(deployed(DarkLaunch(ran=True, version="abc", compared=words))).render()


def test_a_page_without_a_dark_launch():
    page = deployment_page(deployed(None)).render()
    assert "Dark launch" not in page
    assert "no canary" in page


def test_what_proves_a_version_is_not_logged(server, store, package, scorer):
    """Golden requests and those of a dark launch; a client that only sends the header is logged like all others."""
    rows, url, version = rows_of(package), url_of(server), scorer.version
    assert replay_golden(url, package, version=version) == []
    answer_again(url, [rows[:2]], version=version, proof=proof_token(package))
    for token in ("", "true", "0" * 64, version):
        headers = {HEADER: token} if token else {}
        assert server.ask(f"{server.path}:predict", json.dumps({"instances": rows[:1]}), headers)[0] == 200
    until(lambda: logged_rows(store) >= 4)
    assert logged_rows(store) == 4
