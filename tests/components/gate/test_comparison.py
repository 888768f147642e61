"""The candidate against a champion in a real object store."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.gate.gate import Candidate, judge
from components.gate.page import verdict_page
from components.gate.verdict import Check, Verdict
from components.shared import frames, metrics
from components.shared.package.model_package import version_prefix
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.registry.registry import Registry
from components.shared.store import Store
from components.shared.tasks import TASKS
from tests import helpers
from tests.components.gate.conftest import rules
from tests.helpers import put_folder

Make = Callable[..., Candidate]
Crown = Callable[[Candidate], str]


def champion_check(verdict: Verdict) -> Check:
    return next(check for check in verdict.checks if check.name == "champion")


@pytest.mark.parametrize("task", TASKS)
def test_a_clearly_worse_candidate_is_blocked(candidate: Make, crown: Crown, store: Store, task: str) -> None:
    version = crown(candidate(task))
    verdict = judge(candidate(task, noise=0.9), rules(), store)
    check = champion_check(verdict)
    assert not verdict.promoted
    assert verdict.champion == version
    assert (check.value or 0) > 0
    assert "significantly worse by more than is allowed (95% interval of the loss" in check.detail
    assert f"of the champion {version} on the same 400 rows" in check.detail
    assert "may have learned" not in check.detail
    assert verdict.reasons == [check.detail]


@pytest.mark.parametrize("task", TASKS)
def test_a_better_candidate_passes(candidate: Make, crown: Crown, store: Store, task: str) -> None:
    crown(candidate(task, noise=0.9))
    check = champion_check(judge(candidate(task), rules(), store))
    assert check.holds
    assert (check.value or 0) < 0
    assert "better; shown to be no worse by more than is allowed" in check.detail


def test_the_same_version_is_not_compared(candidate: Make, crown: Crown, store: Store) -> None:
    version = crown(candidate())
    store.delete(version_prefix("demo", version) + "model.onnx")
    check = champion_check(judge(candidate(), rules(), store))
    assert check.holds
    assert f"The candidate is the champion, version {version}" in check.detail


def test_an_equal_model_of_another_version_passes(candidate: Make, crown: Crown, store: Store) -> None:
    made = candidate()
    crown(made)
    (made.evaluated / "card.html").write_text("<html>another</html>", encoding="utf-8")
    check = champion_check(judge(made, rules(), store))
    assert check.holds
    assert check.value == 0
    assert "the same; shown to be no worse" in check.detail


def test_a_loss_within_the_noise_passes(candidate: Make, crown: Crown, store: Store) -> None:
    crown(candidate())
    verdict = judge(candidate(noise=0.02), rules(), store)
    assert champion_check(verdict).value != 0
    assert verdict.promoted


def test_a_loss_within_what_is_allowed_passes(candidate: Make, crown: Crown, store: Store) -> None:
    crown(candidate())
    verdict = judge(candidate(noise=0.9), rules(champion={"allowed_loss": 0.9}), store)
    assert champion_check(verdict).holds


@pytest.mark.parametrize(
    ("when", "passes", "words"),
    [
        ("promote_if_not_worse", False, "It is kept out: it is worse on them (gate.champion.when_unclear)"),
        ("block", False, "It is kept out: `block`"),
        ("promote", True, "It passes all the same"),
    ],
)
def test_what_the_rows_cannot_tell_is_settled_by_the_configuration(
    candidate: Make, crown: Crown, store: Store, tmp_path: Path, when: str, passes: bool, words: str
) -> None:
    made = candidate()
    crown(made)
    few = rewrite(candidate(noise=0.3), tmp_path / "few", lambda rows: rows.slice(0, 60))
    verdict = judge(few, rules(champion={"when_unclear": when}), store)
    check = champion_check(verdict)
    assert (check.value or 0) > 0
    assert "these 60 rows cannot tell whether it is worse by more than is allowed" in check.detail
    assert words in check.detail
    assert check.holds is passes
    assert check.limit == 0.005
    # What passes although the rows cannot tell is warned of; what does not pass is a reason.
    assert (verdict.warnings, verdict.reasons) == (([check.detail], []) if passes else ([], [check.detail]))
    assert "cannot tell" in verdict_page("demo", verdict).render()


def test_a_candidate_no_worse_on_too_few_rows_passes(
    candidate: Make, crown: Crown, store: Store, tmp_path: Path
) -> None:
    crown(candidate(noise=0.1))
    few = rewrite(candidate(), tmp_path / "few", lambda rows: rows.slice(0, 40))
    check = champion_check(judge(few, rules(champion={"metric": "brier"}), store))
    assert (check.value or 0) <= 0
    assert "It passes because it is no worse on them" in check.detail
    assert check.holds
    blocking = rules(champion={"metric": "brier", "when_unclear": "block"})
    assert not champion_check(judge(few, blocking, store)).holds


def test_each_model_answers_by_its_own_threshold(candidate: Make, crown: Crown, store: Store, tmp_path: Path) -> None:
    made = candidate()
    crown(rewrite(made, tmp_path / "champion-made", lambda rows: rows, threshold=0.9))
    other = rewrite(made, tmp_path / "other", lambda rows: rows, threshold=0.3)
    check = champion_check(judge(other, rules(champion={"metric": "recall"}), store))
    scorer = Scorer.load(made.model)
    part = frames.load_part(made.splits, "test", scorer.schema)
    scores = scorer.score(frames.inputs(part.frame, scorer.schema))
    ours, theirs = (metrics.score("recall", "binary", part.target, scores, threshold=at) for at in (0.3, 0.9))
    assert check.value == pytest.approx(theirs - ours)
    assert ours > theirs


def test_rows_count_as_much_as_they_weigh(candidate: Make, crown: Crown, store: Store, tmp_path: Path) -> None:
    made = candidate()
    crown(made)
    worse = candidate(noise=0.9)
    heavy = np.asarray(np.arange(400) % 2 * 3, dtype=np.float64)

    def weighted(rows: pa.Table) -> pa.Table:
        return rows.append_column("w", pa.array(heavy))

    check = champion_check(judge(rewrite(worse, tmp_path / "other", weighted, weights="w"), rules(), store))
    part = frames.load_part(made.splits, "test", Schema.read(made.model))
    values = []
    for model in (made.model, worse.model):
        scorer = Scorer.load(model)
        scores = scorer.score(frames.inputs(part.frame, scorer.schema))
        values.append(metrics.score("roc_auc", "binary", part.target, scores, weights=heavy))
    assert check.value == pytest.approx(values[0] - values[1])


def test_another_metric_can_be_compared(candidate: Make, crown: Crown, store: Store) -> None:
    crown(candidate())
    verdict = judge(candidate(noise=0.9), rules(champion={"metric": "brier"}), store)
    assert champion_check(verdict).detail.startswith("Brier score")
    assert not verdict.promoted


def test_a_champion_of_another_task_needs_force(candidate: Make, crown: Crown, store: Store) -> None:
    crown(candidate("regression"))
    check = champion_check(judge(candidate(), rules(), store))
    assert not check.holds
    assert check.value is None
    assert "it predicts 'target' (regression), the candidate 'target' (binary)" in check.detail
    assert "force_promotion=true" in check.detail
    assert judge(candidate(), rules(), store, force=True).forced


def rewrite(made: Candidate, folder: Path, change: Callable[[pa.Table], pa.Table], **schema: Any) -> Candidate:
    """The same candidate on changed parts."""
    splits, model = folder / "splits", folder / "model"
    shutil.copytree(made.splits, splits)
    shutil.copytree(made.model, model)
    pq.write_table(change(pq.read_table(splits / "test.parquet")), splits / "test.parquet")
    Schema.read(model).model_copy(update=schema).write(model)
    return Candidate(made.name, model, made.evaluated, splits)


def test_a_champion_that_needs_more_columns_needs_force(
    candidate: Make, crown: Crown, store: Store, tmp_path: Path
) -> None:
    made = candidate()
    version = crown(made)
    fewer = rewrite(made, tmp_path / "fewer", lambda rows: rows)
    schema = json.loads(store.get_bytes(version_prefix("demo", version) + "schema.json"))
    assert "visits" in {feature["name"] for feature in schema["features"]}
    # The candidate learned without the column, so its parts have none.
    _without_visits(fewer)
    check = champion_check(judge(fewer, rules(), store))
    assert not check.holds
    assert "it needs 'visits', which the test part does not have" in check.detail


def _without_visits(made: Candidate) -> None:
    """Give the candidate a model of `amount` and `member` alone."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    schema = Schema.read(made.model)
    kept = [feature for feature in schema.features if feature.name in ("amount", "member")]
    schema.model_copy(update={"features": kept}).write(made.model)
    path = made.splits / "test.parquet"
    table = pq.read_table(path).drop_columns(["visits"])
    pq.write_table(table.set_column(1, "amount", pa.array(np.nan_to_num(table["amount"].to_numpy()))), path)
    weights = numpy_helper.from_array(np.array([[-1, 1], [-1, 1]], dtype=np.float32), "weights")
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [weights],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), made.model / "model.onnx"
    )


def test_a_champion_whose_column_changed_its_type_needs_force(
    candidate: Make, crown: Crown, store: Store, tmp_path: Path
) -> None:
    made = candidate()
    crown(made)
    other = rewrite(made, tmp_path / "other", lambda rows: rows)
    _without_visits(other)
    path = other.splits / "test.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("visits", pa.array(["many"] * table.num_rows)), path)
    check = champion_check(judge(other, rules(), store))
    assert not check.holds
    assert "it cannot read the test part" in check.detail


def test_a_champion_of_other_classes_needs_force(candidate: Make, crown: Crown, store: Store, tmp_path: Path) -> None:
    made = candidate("multiclass")
    crown(made)

    def renamed(rows: pa.Table) -> pa.Table:
        labels = [{"ja": "yes"}.get(label, label) for label in rows["target"].to_pylist()]
        return rows.set_column(rows.column_names.index("target"), "target", pa.array(labels))

    other = rewrite(made, tmp_path / "other", renamed, classes=["yes", "näh", "我"])
    check = champion_check(judge(other, rules(), store))
    assert not check.holds
    assert "its classes are ja, näh, 我; the candidate's are näh, yes, 我" in check.detail


def test_classes_in_another_order_are_compared(candidate: Make, crown: Crown, store: Store, tmp_path: Path) -> None:
    made = candidate("multiclass")
    crown(made)
    other = rewrite(made, tmp_path / "other", lambda rows: rows, classes=["我", "näh", "ja"])
    check = champion_check(judge(other, rules(), store))
    # The candidate's labels are mixed up, the champion's are not: put in the same order, it is far better.
    assert not check.holds
    assert "significantly worse" in check.detail


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("model.onnx", b"nonsense", "its SHA-256 differs"),
        ("manifest.json", b"{}", "package of format None"),
        ("extra.bin", b"x", "extra.bin, which its manifest does not list"),
    ],
)
def test_a_corrupt_champion_needs_force(
    candidate: Make, crown: Crown, store: Store, file: str, content: bytes, reason: str
) -> None:
    prefix = version_prefix("demo", crown(candidate()))
    store.put_bytes(prefix + file, content)
    check = champion_check(judge(candidate(noise=0.02), rules(), store))
    assert not check.holds
    assert reason in check.detail
    assert store.uri(prefix).rstrip("/") in check.detail
    assert "fullcircle-champion-" not in check.detail


def test_a_champion_whose_package_is_gone_needs_force(candidate: Make, crown: Crown, store: Store) -> None:
    prefix = version_prefix("demo", crown(candidate()))
    store.delete(prefix + "manifest.json")
    check = champion_check(judge(candidate(noise=0.02), rules(), store))
    assert not check.holds
    assert "has no manifest.json" in check.detail


def test_a_pointer_to_another_version_is_refused(candidate: Make, crown: Crown, store: Store, tmp_path: Path) -> None:
    version = crown(candidate())
    store.get_folder(version_prefix("demo", version), tmp_path / "package")
    put_folder(store, version_prefix("demo", "0" * 12), tmp_path / "package")
    registry = Registry(store, "demo")
    registry.promote("0" * 12, expected=registry.champion())
    check = champion_check(judge(candidate(noise=0.02), rules(), store))
    assert f"holds version {version}" in check.detail


def test_a_test_part_of_one_class_tells_no_difference(
    candidate: Make, crown: Crown, store: Store, tmp_path: Path
) -> None:
    made = candidate()
    crown(made)
    other = rewrite(made, tmp_path / "other", lambda rows: rows.filter(rows["target"]))
    (other.evaluated / "card.html").write_text("<html>another</html>", encoding="utf-8")
    check = champion_check(judge(other, rules(), store))
    assert not check.holds
    assert "cannot tell ROC AUC" in check.detail


@pytest.mark.parametrize(
    ("time_column", "lineage", "cautioned"),
    [
        ("opened at", {"window_end": "2024-01-02T00:00:00"}, False),
        ("opened at", {"window_end": "2024-01-02T00:00:00+01:00"}, False),
        ("opened at", {"window_end": "2030-01-01T00:00:00"}, True),
        ("", {"window_end": "2024-01-02T00:00:00"}, True),
        # The window holds the champion's own test part: what counts is what it learned from.
        ("opened at", {"window_end": "2030-01-01T00:00:00", "train_end": "2024-01-02T00:00:00"}, False),
        ("opened at", {"window_end": "2024-01-02T00:00:00", "train_end": "2030-01-01T00:00:00"}, True),
        # The same table may have been split elsewhere.
        ("opened at", {"content_hash": "0" * 64, "train_end": "2030-01-01T00:00:00"}, True),
        ("", {"content_hash": "0" * 64}, False),
    ],
)
def test_a_champion_that_may_know_the_test_rows_is_pointed_out(
    candidate: Make,
    crown: Crown,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    time_column: str,
    lineage: dict[str, str],
    cautioned: bool,
) -> None:
    made = candidate(noise=0.02)
    of_champion = helpers.LINEAGE.model_copy(update={"content_hash": "f" * 64, **lineage})
    with monkeypatch.context() as patch:
        patch.setattr(helpers, "LINEAGE", of_champion)
        crown(candidate())
    other = rewrite(made, tmp_path / "other", lambda rows: rows, time_column=time_column)
    check = champion_check(judge(other, rules(), store))
    assert ("may have learned from some of these rows" in check.detail) is cautioned


def test_a_candidate_that_refuses_what_the_champion_takes_is_blocked(
    candidate: Make, crown: Crown, store: Store
) -> None:
    """Clients that changed nothing would be answered 400: a fault of weeks in which nothing happened to be missing."""
    made = candidate()
    version = crown(made)
    before = Schema.read(made.model)
    name = next(feature.name for feature in before.features if feature.nullable)
    narrow_schema(made, name)
    verdict = judge(made, rules(), store)
    (check,) = [check for check in verdict.checks if check.name == "requests"]
    assert not verdict.promoted
    assert verdict.reasons == [check.detail]
    assert check.detail == (
        f"Requests that the champion {version} takes would be refused or misread. {name!r} may not be missing any "
        "more, as it is in no row this time. Promise that it may be: set "
        f"contract.columns.{name}.nullable to true. Where clients are ready for it, set gate.same_requests to false."
    )
    assert "Takes the champion&#39;s requests" in verdict_page("demo", verdict).render()
    allowed = judge(made, rules(same_requests=False), store)
    assert allowed.promoted
    assert "requests" not in [check.name for check in allowed.checks]


def narrow_schema(made: Candidate, name: str) -> None:
    """As if no value of a column had been missing in training."""
    schema = Schema.read(made.model)
    features = [one.model_copy(update={"nullable": one.nullable and one.name != name}) for one in schema.features]
    schema.model_copy(update={"features": features}).write(made.model)
