import io
import json

import pyarrow.parquet as pq
import pytest

from components.monitor.__main__ import main
from components.monitor.each_model import for_each_model
from components.shared.config import ColumnDrift, MonitoringConfig
from components.shared.package.model_package import version_prefix
from components.shared.registry.monitoring import keep_settings, settings_key
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.helpers import make_table, put_folder


@pytest.fixture
def champion(store, packages):
    """A published champion of the model demo."""
    from components.shared.package.model_package import verify

    version = verify(packages()).version
    put_folder(store, version_prefix("demo", version), packages())
    Registry(store, "demo").promote(version, expected=None)
    return version


def log(store, rows: int, *, name: str = "demo") -> None:
    buffer = io.BytesIO()
    pq.write_table(make_table(rows=rows, seed=3).drop_columns(["target"]), buffer)
    store.put_bytes(f"inference/{name}/date=2024-03-01/hour=05/a.parquet", buffer.getvalue())


def test_every_champion_gets_a_report(store, champion, capsys):
    log(store, 150)
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert "demo: " in printed
    assert "the last 150 rows the endpoint was asked" in printed
    (report,) = [item.key for item in store.list("monitoring/demo/") if item.key.endswith("drift.json")]
    content = json.loads(store.get_bytes(report))
    assert (content["version"], content["current"]["rows"]) == (champion, 150)
    assert report.removesuffix("drift.json") in printed


def test_too_few_rows_are_no_failure_and_no_report(store, champion, capsys):
    log(store, 12)
    assert main(["demo"]) == 0
    assert "no report yet: the endpoint has logged 12 rows" in capsys.readouterr().out
    assert store.list("monitoring/") == []


def test_before_the_first_model_there_is_nothing_to_do(store, capsys):
    assert main([]) == 0
    assert "no model is published yet" in capsys.readouterr().out
    assert main(["demo"]) == 0
    assert "demo: no version is published yet" in capsys.readouterr().out


def test_settings_come_from_the_environment(store, champion, monkeypatch, capsys):
    log(store, 12)
    monkeypatch.setenv("FULLCIRCLE_MONITORING", '{"minimum_rows": 10, "rows": 100}')
    assert main(["demo", "--version", champion]) == 0
    assert "the last 12 rows" in capsys.readouterr().out


def test_each_model_is_watched_by_its_own_section(store, champion, packages, capsys):
    """One model's `columns` are none of another one's affair."""
    put_folder(store, version_prefix("other", champion), packages())
    Registry(store, "other").promote(champion, expected=None)
    log(store, 150)
    log(store, 150, name="other")
    own = MonitoringConfig(columns={"amount": ColumnDrift(method="ks", threshold=1e-9)}, rows=120)
    keep_settings(store, "demo", champion, own)
    keep_settings(store, "other", champion, MonitoringConfig(numeric=ColumnDrift(method="psi", threshold=0.3)))
    assert main([]) == 0
    assert "demo: " in capsys.readouterr().out
    found = {}
    for name in ("demo", "other"):
        (key,) = [item.key for item in store.list(f"monitoring/{name}/") if item.key.endswith("drift.json")]
        content = json.loads(store.get_bytes(key))
        found[name] = {one["column"]: one["method"] for one in content["columns"]}, content["current"]["rows"]
    assert found["demo"][0]["amount"] == "ks"
    assert found["demo"][0]["visits"] == "wasserstein"
    assert found["demo"][1] == 120
    assert found["other"][0]["amount"] == found["other"][0]["visits"] == "psi"


def test_what_the_job_is_given_goes_before_the_versions_own(store, champion, monkeypatch, capsys):
    log(store, 40)
    keep_settings(store, "demo", champion, MonitoringConfig(rows=100, minimum_rows=50))
    assert main(["demo"]) == 0
    assert "a report needs 50" in capsys.readouterr().out
    monkeypatch.setenv("FULLCIRCLE_MONITORING", '{"minimum_rows": 30}')
    assert main(["demo"]) == 0
    assert "the last 40 rows" in capsys.readouterr().out


def test_a_section_that_this_program_does_not_know_is_told(store, champion, capsys):
    log(store, 150)
    store.put_bytes(
        settings_key("demo", champion), b'{"format": "fullcircle-monitoring/9", "monitoring": {"seasons": 4}}'
    )
    assert main(["demo"]) == 1
    said = capsys.readouterr().err
    assert "does not say how version" in said
    assert "seasons" in said
    assert store.list("monitoring/") == []


def test_a_run_says_where_the_report_goes_and_what_is_compared_while_too_little_is_logged(store, champion, capsys):
    log(store, 12)
    for part, rows in (("train", 200), ("test", 80)):
        buffer = io.BytesIO()
        pq.write_table(make_table(rows=rows, seed=5).drop_columns(["target"]), buffer)
        store.put_bytes(f"monitoring/demo/now/{part}.parquet", buffer.getvalue())
    arguments = ["demo", "--version", champion, "--destination", "monitoring/demo/now/"]
    assert main([*arguments, "--parts", "monitoring/demo/now/"]) == 0
    assert "the newest 80 rows of the test part" in capsys.readouterr().out
    kept = {item.key: item.etag for item in store.list("monitoring/demo/now/")}
    pages = {"drift.json", "drift.html", "evidently.html"}
    assert {key.rpartition("/")[2] for key in kept} == pages | {"train.parquet", "test.parquet"}
    # A pod that is started again after its report was complete leaves it as it is.
    assert main([*arguments, "--parts", "monitoring/demo/now/"]) == 0
    assert "the report is there already" in capsys.readouterr().out
    assert {item.key: item.etag for item in store.list("monitoring/demo/")} == kept


def test_one_model_that_fails_does_not_keep_the_others_from_their_reports(store, champion, capsys):
    log(store, 150)
    store.put_bytes("models/broken/champion.json", b"what?")
    assert main([]) == 1
    captured = capsys.readouterr()
    assert "models/broken/champion.json is no champion pointer" in captured.err
    assert "demo: " in captured.out


def test_a_defect_at_one_model_is_told_with_its_type_and_the_others_have_their_turn(store, capsys):
    def act(_: Store, name: str) -> str:
        return str(1 / (name != "broken"))

    assert for_each_model([], lambda _: ["broken", "demo"], act, act, none="none") == 1
    said = capsys.readouterr()
    assert said.err.count("\nbroken: ZeroDivisionError: division by zero\n") == 2
    assert "in act" in said.err
    assert said.out.count("demo: 1.0") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--settings", '{"row": 3}'], "row: Extra inputs are not permitted"),
        (["--version", "abc"], "expected exactly one model"),
        (["--parts", "abc"], "--parts: expected exactly one model"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_a_store_that_is_not_configured_is_named(monkeypatch, capsys):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert main([]) == 1
    assert "AWS_ENDPOINT_URL" in capsys.readouterr().err
