import json
import shutil
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from components.monitor.history.verdict import state
from components.monitor.observation.observe import observe, observed
from components.shared.config import ColumnDrift, MonitoringConfig, WindowsConfig
from components.shared.inference_log.compaction import compact_log
from components.shared.labels.store import Labels
from components.shared.package.model_package import verify, version_prefix
from components.shared.package.scoring import Scorer
from components.shared.registry.monitoring import keep_settings
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.components.monitor.logged import DAY, START, encoded, put_log, requests
from tests.helpers import make_manifest, make_table, put_folder

NOW = START + 3 * DAY + timedelta(hours=1)


@pytest.fixture
def scorer(store, packages) -> Scorer:
    """A champion of the model demo."""
    version = verify(packages()).version
    put_folder(store, version_prefix("demo", version), packages())
    Registry(store, "demo").promote(version, expected=None)
    keep_settings(store, "demo", version, MonitoringConfig(windows=WindowsConfig(evidently="never")))
    return Scorer.load(packages(), version=version)


def watch(store: Store, scorer: Scorer, **windows: object) -> None:
    """Say how windows are cut."""
    settings = MonitoringConfig(windows=WindowsConfig.model_validate({"evidently": "never", **windows}))
    keep_settings(store, "demo", scorer.version, settings)


def kept(store: Store, *, of: str = "windows/") -> dict[str, str]:
    """What is kept, with its etag."""
    prefix = f"monitoring/demo/{of}"
    return {item.key.removeprefix(prefix): item.etag for item in store.list(prefix)}


def test_each_day_gets_evidence_a_report_and_a_line_of_the_history(store, scorer):
    watch(store, scorer, evidently="drift")
    for day, shift in enumerate((0.0, 0.0, 4.0)):
        put_log(store, requests(scorer, 300, start=START + day * DAY, seed=day, shift=shift))
    found = observed(store, "demo", now=NOW)
    assert [(item.start, item.rows, item.version) for item in found.evidence] == [
        (START + day * DAY, 300, scorer.version) for day in range(3)
    ]
    assert [[drift.column for drift in item.drifted] for item in found.evidence] == [[], [], ["amount"]]
    assert [item.prediction.drifted for item in found.evidence if item.prediction] == [False, False, True]
    assert [state(window)[1] == "Drift" for window in found.history.windows] == [False, False, True]
    assert problems(found.evidence[2]) == [("range", "amount", False)]  # and that the answers are others is no fault
    assert (found.read, found.fresh) == (72, 3)
    ordinary = {key.rpartition("/")[2] for key in kept(store) if key.startswith("20260302")}
    assert "evidently.html" not in ordinary
    folder = f"20260303T0000Z--20260304T0000Z/{scorer.version}/"
    names = {key.removeprefix(folder) for key in kept(store) if key.startswith(folder)}
    digest = found.evidence[2].digest()[:12]
    assert names == {
        "statistics.json", "sample.parquet", "report.json", "report.html", "evidently.html", f"evidence-{digest}.json",
    }  # fmt: skip
    history = json.loads(store.get_bytes("monitoring/demo/history.json"))
    assert [window["moved"]["amount"] >= 10 for window in history["windows"]] == [False, False, True]
    assert b"History of demo" in store.get_bytes("monitoring/demo/history.html")


def test_what_was_read_is_not_read_again_and_nothing_changes(store, scorer, monkeypatch):
    watch(store, scorer, size="6h")
    put_log(store, requests(scorer, 600))
    first = observed(store, "demo", now=NOW)
    before = kept(store, of="")
    read = store_reads(monkeypatch)
    again = observed(store, "demo", now=NOW + timedelta(minutes=1))
    assert (again.read, again.fresh, again.evidence) == (0, 0, first.evidence)
    assert kept(store, of="") == before
    assert not [key for key in read if key.startswith("inference/")]


def test_of_predictions_the_p_value_of_a_test_is_kept_with_whether_they_drifted(store, scorer):
    settings = MonitoringConfig(
        columns={"prediction": ColumnDrift(method="ks", threshold=0.01)}, windows=WindowsConfig(evidently="never")
    )
    keep_settings(store, "demo", scorer.version, settings)
    for day, shift in enumerate((0.0, 4.0)):
        put_log(store, requests(scorer, 300, start=START + day * DAY, seed=day, shift=shift))
    found = [item.prediction for item in observe(store, "demo", now=START + 2 * DAY + timedelta(hours=1))]
    assert [(one.method, one.drifted, one.value < 0.01) for one in found if one] == [
        ("ks", False, False), ("ks", True, True)
    ]  # fmt: skip


def store_reads(monkeypatch) -> list[str]:
    """The keys that are read from now on."""
    keys: list[str] = []
    plain = Store.get_bytes

    def noted(store: Store, key: str) -> bytes:
        keys.append(key)
        return plain(store, key)

    monkeypatch.setattr(Store, "get_bytes", noted)
    return keys


def test_hours_are_read_when_they_are_over_and_windows_when_their_rows_have_had_time(store, scorer):
    watch(store, scorer, size="1d", lateness="15m")
    put_log(store, requests(scorer, 480))
    assert observed(store, "demo", now=START + timedelta(hours=5, minutes=14)).read == 4
    found = observed(store, "demo", now=START + timedelta(hours=5, minutes=15))
    assert (found.read, found.evidence) == (1, ())
    assert found.message == "no window is over yet, or nothing was logged in those that are looked at"
    found = observed(store, "demo", now=START + DAY + timedelta(minutes=15))
    assert (found.read, found.fresh, found.evidence[0].rows) == (19, 1, 480)


def test_hours_add_up_to_the_statistics_of_the_whole(store, scorer):
    """Of a window of a day and of one of an hour, by what was kept of each hour."""
    watch(store, scorer, size="1d")
    table = requests(scorer, 2_400, shift=1.0)
    put_log(store, table)
    (day,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    report = json.loads(store.get_bytes(report_key(scorer)))
    watch(store, scorer, size="1d", time="event")
    (other,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert json.loads(store.get_bytes(report_key(scorer)))["findings"] == report["findings"]
    assert day.drifted == other.drifted
    assert report["counts"]["rows"] == 2_400


def report_key(scorer: Scorer, start: datetime = START, length: timedelta = DAY) -> str:
    span = f"{start:%Y%m%dT%H%MZ}--{start + length:%Y%m%dT%H%MZ}"
    return f"monitoring/demo/windows/{span}/{scorer.version}/report.json"


def test_windows_that_overlap_share_what_is_kept(store, scorer):
    watch(store, scorer, size="12h", step="6h")
    put_log(store, requests(scorer, 480))
    found = observed(store, "demo", now=START + DAY + timedelta(hours=1))
    assert [(item.start.hour, item.rows) for item in found.evidence] == [(0, 240), (6, 240), (12, 240)]
    assert found.read == 24


def test_a_window_of_two_versions_is_split_and_each_is_compared_with_its_own_reference(
    store, scorer, packages, tmp_path
):
    other = second_version(store, packages, tmp_path)
    watch(store, scorer, size="1d")
    put_log(store, requests(scorer, 300, span=timedelta(hours=10)))
    put_log(store, requests(other, 200, start=START + timedelta(hours=10), span=timedelta(hours=14), shift=5.0))
    found = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert {item.version: (item.rows, [drift.column for drift in item.drifted]) for item in found} == {
        scorer.version: (300, []),
        other.version: (200, ["amount"]),
    }


def second_version(store, packages, tmp_path) -> Scorer:
    """Another version of the model, which is stored and no champion."""
    folder = tmp_path / "other"
    shutil.copytree(packages(), folder)
    (folder / "card.html").write_text("another card", encoding="utf-8")
    version = make_manifest(folder).version
    put_folder(store, version_prefix("demo", version), folder)
    return Scorer.load(folder, version=version)


@pytest.mark.parametrize("look_back", ["8w", "2d"])
def test_a_season_comes_by_degrees_and_a_fault_at_once(store, scorer, look_back):
    """Severe is what came at once, for as long as it stays, also where only the newest window is looked at."""
    watch(store, scorer, size="1d", look_back=look_back)
    newest = []
    shifts = (0.0, 2.0, 5.0, 9.0, 60.0, 60.0, 12.0)
    for day, shift in enumerate(shifts):
        put_log(store, requests(scorer, 300, start=START + day * DAY, seed=day, shift=shift))
        newest.append(observe(store, "demo", now=START + (day + 1) * DAY + timedelta(hours=1))[-1])
    severe = [[problem.column for problem in item.problems if problem.severe] for item in newest]
    assert severe == [[], [], [], [], ["amount"], ["amount"], []]
    assert all("amount" in [problem.column for problem in item.problems] for item in newest[2:])


# What can be wrong with a log: each has its place in the report


def problems(evidence) -> list[tuple[str, str, bool]]:
    return [(problem.kind, problem.column, problem.severe) for problem in evidence.problems]


def status(store: Store, scorer: Scorer, start: datetime = START, length: timedelta = DAY) -> str:
    return str(json.loads(store.get_bytes(report_key(scorer, start, length)))["status"])


def test_an_empty_window_is_told_and_is_of_the_version_that_answered_last(store, scorer):
    put_log(store, requests(scorer, 200))
    put_log(store, requests(scorer, 200, start=START + 2 * DAY))
    found = observe(store, "demo", now=NOW)
    assert [item.rows for item in found] == [200, 0, 200]
    assert problems(found[1]) == [("empty", "", True)]
    assert status(store, scorer, START + DAY) == "no rows"
    assert "No request came in this window." in store.get_bytes("monitoring/demo/history.html").decode()


def test_too_few_rows_are_counted_and_not_compared(store, scorer):
    put_log(store, requests(scorer, 40, shift=9.0))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert (found.rows, found.drifted, found.prediction) == (40, (), None)
    assert status(store, scorer) == "too few rows"


def test_a_log_that_is_older_than_what_is_looked_at_leaves_nothing(store, scorer):
    put_log(store, requests(scorer, 200))
    found = observed(store, "demo", now=START + 400 * DAY)
    assert (found.evidence, found.read) == ((), 0)
    assert kept(store, of="") == {}


def test_a_missing_column_is_told_with_its_share_of_the_rows_and_the_others_are_compared(store, scorer):
    put_log(store, requests(scorer, 300, span=timedelta(hours=12)))
    short = requests(scorer, 100, start=START + timedelta(hours=12), span=timedelta(hours=12), seed=1)
    put_log(store, short.drop_columns(["colour"]))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert ("schema", "colour", False) in problems(found)
    assert "colour: 25% of the rows lack the column." in [one.message for one in found.problems]
    assert status(store, scorer) == "compared"


def test_a_column_that_the_configuration_leaves_out_is_not_watched_and_no_problem(store, scorer):
    put_log(store, requests(scorer, 300, leave_out=["colour", "id"]))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert "schema" not in [problem.kind for problem in found.problems]
    report = json.loads(store.get_bytes(report_key(scorer)))
    assert report["unwatched"] == ["colour"]
    assert "colour" not in [column["column"] for column in report["findings"]["columns"]]


def test_a_column_of_another_type_is_told(store, scorer):
    table = requests(scorer, 300)
    place = table.column_names.index("amount")
    put_log(store, table.set_column(place, "amount", pa.array(["much"] * 300)))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert ("schema", "amount", True) in problems(found)
    assert status(store, scorer) == "compared"


def test_a_column_without_any_value_is_told(store, scorer):
    table = requests(scorer, 300)
    place = table.column_names.index("amount")
    put_log(store, table.set_column(place, "amount", pa.nulls(300, pa.float64())))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert ("nulls", "amount") in [one[:2] for one in problems(found)]
    assert json.loads(store.get_bytes(report_key(scorer)))["findings"]["empty"] == ["amount"]


def test_damaged_and_half_visible_files_are_counted_with_the_rows_they_had(store, scorer):
    keys = put_log(store, requests(scorer, 240))
    store.put_bytes(keys[3], store.get_bytes(keys[3])[:500])
    store.put_bytes(keys[4], b"")
    store.put_bytes("inference/demo/date=2026-03-01/hour=05/compacted-never-committed_70.parquet", b"half")
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert found.rows == 220
    assert problems(found)[0] == ("damaged", "", False)
    assert "2 of 2 files" in found.problems[0].message
    assert "with 20 rows by their names" in found.problems[0].message


def test_a_window_of_damaged_files_only_is_told(store, scorer):
    put_log(store, requests(scorer, 240))
    for key in put_log(store, requests(scorer, 24, start=START + DAY)):
        store.put_bytes(key, b"PAR1")
    found = observe(store, "demo", now=NOW - DAY)
    assert problems(found[1]) == [("empty", "", True), ("damaged", "", True)]


def test_a_file_that_was_stored_twice_counts_once_and_a_request_id_used_twice_is_told(store, scorer):
    table = requests(scorer, 240)
    put_log(store, table)
    put_log(store, table.slice(0, 50), writer="again")
    again = requests(scorer, 24, seed=9, start=START + timedelta(minutes=30), span=timedelta(minutes=20))
    ids = again.column_names.index("request_id")
    put_log(store, again.set_column(ids, "request_id", table["request_id"].slice(0, 24).combine_chunks()), writer="x")
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert found.rows == 264
    told = [problem.message for problem in found.problems if problem.kind == "duplicates"]
    assert told[0].startswith("50 records were there twice")
    assert told[1].startswith("10 rows share the id of another request")


def test_rows_of_an_endpoint_whose_clock_is_ahead_wait_for_their_hour_and_are_told(store, scorer):
    put_log(store, requests(scorer, 240))
    put_log(store, requests(scorer, 30, start=START + 2 * DAY, span=timedelta(hours=1)))
    found = observed(store, "demo", now=START + DAY + timedelta(hours=1))
    assert [item.rows for item in found.evidence] == [240]
    assert found.history.remarks == (
        "Rows are logged for 1 hours that have not begun, up to 2026-03-03 00:00 UTC: the clock of an endpoint, or of "
        "this machine, is wrong.",
    )


def test_rows_of_another_hour_than_that_of_their_folder_count_there_and_are_told(store, scorer):
    table = requests(scorer, 240, span=timedelta(hours=1))
    place = table.column_names.index("received")
    late = pa.array([moment + timedelta(days=300) for moment in table["received"].to_pylist()], table["received"].type)
    key = "inference/demo/date=2026-03-01/hour=07/070000.000000-w_240.parquet"
    store.put_bytes(key, encoded(table.set_column(place, table.schema.field(place), late)))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert found.rows == 240
    assert ("clock", "", True) in problems(found)


def test_a_version_that_the_store_does_not_have_is_counted(store, scorer):
    put_log(store, requests(scorer, 240, version="gone"))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert (found.version, found.rows) == ("gone", 240)
    span = report_key(scorer).split("/")[3]
    assert (
        json.loads(store.get_bytes(f"monitoring/demo/windows/{span}/gone/report.json"))["status"] == "version unknown"
    )


def test_rows_that_stop_in_the_middle_of_a_window_are_told(store, scorer):
    put_log(store, requests(scorer, 240, span=timedelta(hours=9)))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert ("freshness", "", False) in problems(found)


# Late rows


def test_late_rows_make_new_evidence_of_their_window_and_of_no_other(store, scorer):
    for day in range(2):
        put_log(store, requests(scorer, 240, start=START + day * DAY, seed=day))
    first = observed(store, "demo", now=NOW - DAY)
    put_log(store, requests(scorer, 100, start=START + timedelta(hours=3), span=timedelta(hours=2), seed=5), writer="y")
    later = observed(store, "demo", now=NOW - DAY + timedelta(hours=2))
    assert (later.read, later.fresh) == (2, 1)
    assert [item.rows for item in later.evidence] == [340, 240]
    assert later.evidence[0].made > first.evidence[0].made
    assert later.evidence[1] == first.evidence[1]
    names = [key for key in kept(store) if "evidence-" in key and key.startswith("20260301")]
    assert len(names) == 2


def test_a_window_that_had_no_rows_gets_them_later_from_another_version(store, scorer, packages, tmp_path):
    other = second_version(store, packages, tmp_path)
    put_log(store, requests(scorer, 200))
    put_log(store, requests(scorer, 200, start=START + 2 * DAY))
    observe(store, "demo", now=NOW)
    put_log(store, requests(other, 200, start=START + DAY))
    found = observed(store, "demo", now=NOW)
    assert [(item.version, item.rows) for item in found.evidence] == [
        (scorer.version, 200), (other.version, 200), (scorer.version, 200),
    ]  # fmt: skip
    superseded = json.loads(store.get_bytes(report_key(scorer, START + DAY)))
    assert superseded["evidence"]["problems"] == []
    assert len(found.history.windows) == 3


def test_compaction_and_the_end_of_the_logs_days_change_nothing(store, scorer):
    table = requests(scorer, 480)
    put_log(store, table.slice(0, 240))
    put_log(store, table.slice(240), writer="other")
    first = observed(store, "demo", now=START + DAY + timedelta(hours=1))
    compact_log(store, "demo", now=START + DAY + timedelta(hours=1))
    assert observed(store, "demo", now=START + DAY + timedelta(hours=2)).evidence == first.evidence
    store.delete_many([item.key for item in store.list("inference/demo/date=2026-03-01/hour=0")])
    again = observed(store, "demo", now=START + DAY + timedelta(hours=2))
    assert (again.evidence, again.read, again.fresh) == (first.evidence, 0, 0)


# Labels


def test_labels_that_come_later_make_new_evidence_without_reading_the_log_again(store, scorer, monkeypatch):
    put_log(store, requests(scorer, 300))
    (first,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert first.quality is not None
    assert (first.quality.measured, first.quality.labelled, first.quality.mature) == (None, 0.0, False)
    answered = requests(scorer, 300)["request_id"]
    targets = [str(value).lower() for value in make_table(rows=300, seed=7)["target"].to_pylist()]
    table = pa.table({"request_id": answered, "label": targets})
    Labels(store, "demo", scorer.schema).append(table, source="test", arrival=START + DAY + timedelta(hours=2))
    read = store_reads(monkeypatch)
    found = observed(store, "demo", now=START + DAY + timedelta(hours=3))
    (later,) = found.evidence
    assert later.quality is not None
    assert later.quality.measured is not None
    assert (later.quality.labelled, found.read, found.fresh) == (1.0, 0, 1)
    assert not [key for key in read if key.startswith("inference/")]
    assert len([key for key in kept(store) if "evidence-" in key]) == 2
    again = observed(store, "demo", now=START + DAY + timedelta(hours=4))
    assert (again.evidence, again.fresh) == ((later,), 0)
    assert json.loads(store.get_bytes(report_key(scorer)))["answers"]["labelled"] == 300


# Time


def test_days_of_a_zone_have_23_hours_when_its_clocks_go_forward(store, scorer):
    watch(store, scorer, size="1d", zone="Europe/Berlin")
    start = datetime(2026, 3, 27, 23, tzinfo=UTC)
    put_log(store, requests(scorer, 24 * 3 * 10, start=start, span=3 * DAY))
    found = observe(store, "demo", now=start + 3 * DAY + timedelta(hours=2))
    assert [(item.start.isoformat(), item.rows) for item in found] == [
        ("2026-03-27T23:00:00+00:00", 240),
        ("2026-03-28T23:00:00+00:00", 230),
        ("2026-03-29T22:00:00+00:00", 240),
    ]


def test_windows_of_a_zone_half_an_hour_off_cut_an_hour_of_the_log(store, scorer):
    watch(store, scorer, size="1d", zone="Asia/Kolkata")
    put_log(store, requests(scorer, 24 * 2 * 12, span=2 * DAY))
    found = observe(store, "demo", now=NOW)
    assert [(item.start.isoformat()[5:16], item.rows) for item in found][:2] == [
        ("02-28T18:30", 18 * 12 + 6), ("03-01T18:30", 288),
    ]  # fmt: skip


def test_by_event_time_rows_count_when_they_happened_however_late_they_came(store, scorer):
    watch(store, scorer, size="1d", time="event", lateness="1d")
    rows = 300
    events = [START - DAY + DAY * place / 100 for place in range(rows)]
    put_log(store, requests(scorer, rows, start=START + DAY, span=timedelta(hours=6), events=events))
    found = observe(store, "demo", now=START + 3 * DAY)
    assert [(item.start, item.rows) for item in found] == [(START + day * DAY, 100) for day in (-1, 0, 1)]


def test_by_event_time_a_window_keeps_the_rows_that_were_asked_about_before_what_is_looked_at(store, scorer):
    """Each day 40 rows are asked about of that day, of the next one and of the one after that."""
    watch(store, scorer, size="1d", time="event", look_back="2d")
    for day in range(3):
        events = [START + (day + ahead) * DAY + timedelta(minutes=row) for row in range(40) for ahead in range(3)]
        put_log(store, requests(scorer, 120, start=START + day * DAY, seed=day, events=events))
        observe(store, "demo", now=START + (day + 1) * DAY + timedelta(hours=1))
    first = observed(store, "demo", now=START + 3 * DAY + timedelta(hours=1))
    again = observed(store, "demo", now=START + 3 * DAY + timedelta(hours=23))
    assert [(window.start, window.rows) for window in first.evidence] == [(START + 2 * DAY, 120)]
    assert (again.evidence, again.fresh) == (first.evidence, 0)


def test_the_hour_in_which_what_is_looked_at_begins_is_read_once(store, scorer):
    watch(store, scorer, size="1d", look_back="2d")
    put_log(store, requests(scorer, 144, span=3 * DAY))
    assert observed(store, "demo", now=NOW + timedelta(minutes=30)).read == 47
    assert observed(store, "demo", now=NOW + timedelta(minutes=40)).read == 0


def test_an_hour_that_grows_by_rows_of_one_day_leaves_the_other_days_as_they_are(store, scorer):
    watch(store, scorer, size="1d", time="event")
    played = datetime(2025, 6, 2, tzinfo=UTC)
    rows = 1200  # all of them outside of the reference, so that the sketches of these draw lots
    for number in range(3):
        events = [played + number * DAY + timedelta(minutes=minute) for minute in range(rows)]
        start, span = START + timedelta(minutes=number), timedelta(minutes=1)
        put_log(store, requests(scorer, rows, start=start, span=span, seed=number, events=events, shift=60.0))
        found = observed(store, "demo", now=played + (number + 1) * DAY + timedelta(hours=1))

        assert (found.read, found.fresh) == (1, 1)
        assert [window.rows for window in found.evidence] == [rows] * (number + 1)
    assert len({key.split("/")[0] for key in kept(store)}) == 3


def test_a_past_that_is_played_again_has_windows_by_its_own_clock(store, scorer):
    """Events of 2013 that an endpoint is asked about today, looked at from within 2013."""
    watch(store, scorer, size="1w", time="event")
    monday = datetime(2013, 4, 1, tzinfo=UTC)
    events = [monday + timedelta(hours=3 * place) for place in range(112)]
    put_log(store, requests(scorer, 112, start=START, span=timedelta(minutes=20), events=events))
    found = observe(store, "demo", now=monday + timedelta(days=8))
    assert [(item.start, item.rows) for item in found] == [(monday, 56)]
    found = observe(store, "demo", now=monday + timedelta(days=15))
    assert [item.rows for item in found] == [56, 56]


def test_rows_without_a_time_of_their_own_go_by_server_time_and_are_told(store, scorer):
    watch(store, scorer, size="1d", time="event")
    table = requests(scorer, 300)
    place = table.column_names.index("opened at")
    times = [None if row % 3 == 0 else moment for row, moment in enumerate(table["opened at"].to_pylist())]
    put_log(store, table.set_column(place, table.schema.field(place), pa.array(times, table["opened at"].type)))
    (found,) = observe(store, "demo", now=START + DAY + timedelta(hours=1))
    assert found.rows == 300
    assert ("clock", "", True) in problems(found)


# Tables of batch predictions


def test_predictions_of_a_table_are_watched_by_their_time(store, scorer):
    watch(store, scorer, size="1d", time="event", table="predictions/demo/")
    table = requests(scorer, 600, span=2 * DAY)
    names = ["opened at", "id", "prediction", "probability_false", "probability_true", "model_version"]
    columns = table.select(names)
    store.put_bytes("predictions/demo/run/part-00000.parquet", encoded(columns.slice(0, 400)))
    store.put_bytes("predictions/demo/run/part-00001.parquet", encoded(columns.slice(400)))
    store.put_bytes("predictions/demo/run/rejected.parquet", encoded(columns.slice(0, 3)))
    found = observed(store, "demo", now=NOW - DAY)
    assert (found.read, [item.rows for item in found.evidence]) == (2, [300, 300])
    assert "schema" not in [problem.kind for item in found.evidence for problem in item.problems]
    report = json.loads(store.get_bytes(report_key(scorer)))
    assert [column["column"] for column in report["findings"]["columns"]] == ["prediction"]
    assert set(report["unwatched"]) == {"amount", "colour", "member", "visits"}
