import numpy as np
import pandas as pd
import pytest

from components.monitor.reference import reference_statistics, table_of
from components.monitor.statistics import gather
from components.monitor.statistics.bins import NumberBins
from components.monitor.statistics.columns import NumberStatistics
from components.monitor.statistics.problems import check_rows, ranges_of
from components.shared.config import MonitoringConfig
from components.shared.decisions.evidence import Problem


def frame(rows: int = 500, *, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": random.lognormal(0, 2, rows).astype(np.float32),
            "flag": (random.random(rows) < 0.9).astype(np.float32),
            "colour": random.choice(["red", "green", "blue"], rows).astype(object),
            "many": np.minimum(random.zipf(1.4, rows), 5_000).astype(str).astype(object),
        }
    )


def found(
    now: pd.DataFrame,
    *,
    rows_before: tuple[int, ...] = (),
    learned: dict[str, tuple[float, float]] | None = None,
    earlier: pd.DataFrame | None = None,
) -> list[Problem]:
    reference = reference_statistics(frame(2_000, seed=0), numeric=frozenset({"amount", "flag"}))
    tables = [table_of(now)] if len(now) else []
    current = gather(tables, reference.bins)
    ranges = None if earlier is None else ranges_of(gather([table_of(earlier)], reference.bins))
    return check_rows(reference, current, MonitoringConfig(), rows_before=rows_before, learned=learned, earlier=ranges)


def test_rows_like_the_reference_have_no_problem():
    for seed in range(1, 60):
        assert found(frame(seed * 20, seed=seed)) == []


def test_a_window_without_rows_is_empty():
    assert [problem.kind for problem in found(frame(0))] == ["empty"]


@pytest.mark.parametrize(("rows", "told"), [(90, True), (110, False), (490, False), (2_400, False), (2_600, True)])
def test_far_fewer_or_more_rows_than_usual_are_told(rows, told):
    problems = found(frame(rows), rows_before=(500, 480, 5_000))
    assert [problem.kind for problem in problems] == (["volume"] if told else [])
    if told:
        assert problems[0].message == f"{rows:,} rows, where the windows before had 500 (median)."
        assert problems[0].value == rows / 500


@pytest.mark.parametrize(("factor", "severe"), [(1000, True), (30, False)])
def test_a_change_of_units_is_out_of_range(factor, severe):
    (problem,) = found(frame().assign(amount=frame()["amount"] * np.float32(factor)))
    assert (problem.kind, problem.column, problem.severe) == ("range", "amount", severe)
    assert problem.value > 0.05
    assert "% of the values are outside of 0." in problem.message


def test_what_the_model_has_learned_from_is_no_fault_though_the_reference_lacks_it():
    warm = frame().assign(amount=frame()["amount"] + np.float32(5_000))
    (problem,) = found(warm)
    assert problem.severe
    assert found(warm, learned={"amount": (0.0, 10_000.0)}) == []
    (still,) = found(warm, learned={"amount": (4_000.0, 4_500.0), "flag": (0.0, 9.0)})
    assert (still.kind, still.value, still.severe) == ("range", 1.0, True)
    halves = np.where(np.arange(500) % 2 == 0, 5_000, 20_000).astype(np.float32)
    (problem,) = found(frame().assign(amount=halves), learned={"amount": (-1.0, 10_000.0)})
    assert problem.value == pytest.approx(0.5, abs=0.014)
    assert "are outside of -1 to 10,000, which the model knows" in problem.message


def test_a_sensor_that_is_stuck_is_told():
    (problem,) = found(frame().assign(amount=np.float32(1.5)))
    assert (problem.kind, problem.column, problem.severe) == ("range", "amount", True)
    assert problem.message == "amount: all 500 values are 1.5."
    assert found(frame(90).assign(amount=np.float32(1.5))) == []
    # A flag that is nearly always set may well be set in every row of a small window.
    assert found(frame(50).assign(flag=np.float32(1))) == []
    # In every row of a large one it is told and not severe: rows that follow one another are alike.
    for value, severe in ((1, False), (0, True)):
        (problem,) = found(frame(500).assign(flag=np.float32(value)))
        assert (problem.column, problem.severe) == ("flag", severe)


def test_new_categories_are_told_beyond_those_that_chance_brings():
    (problem,) = found(frame().assign(colour=np.where(np.arange(500) % 10 == 0, "pink", frame()["colour"])))
    assert (problem.kind, problem.column, problem.severe) == ("unseen", "colour", False)
    assert problem.value == pytest.approx(0.1)
    assert problem.message == "colour: 10% of the rows are of categories the reference has not, such as 'pink'."
    (problem,) = found(frame().assign(colour="pink"))
    assert problem.severe


def test_missing_columns_other_types_and_nulls_are_told():
    by_column = {problem.column: problem for problem in found(frame().drop(columns="amount").assign(flag="yes"))}
    assert (by_column["amount"].kind, by_column["amount"].value, by_column["amount"].severe) == ("schema", 1.0, True)
    assert by_column["amount"].message == "amount: 100% of the rows lack the column."
    assert by_column["flag"].message == "flag: 100% of the rows have no value; in the reference 0%."
    kinds = [problem.kind for problem in found(frame().assign(flag="yes")) if problem.column == "flag"]
    assert kinds == ["schema", "nulls"]
    (problem,) = found(frame().assign(colour=np.where(np.arange(500) % 4 == 0, None, frame()["colour"])))
    assert (problem.kind, problem.column, problem.severe) == ("nulls", "colour", False)
    assert problem.value == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("earlier", "severe"),
    [
        (0.0, True),  # as in the reference: a change of units
        (90_000.0, False),  # it was nearly there in the window before
        (-90_000.0, True),  # far beyond in the window before, and to the other side
    ],
)
def test_what_comes_by_degrees_is_told_and_no_fault_of_the_rows(earlier, severe):
    def moved(by: float, seed: int) -> pd.DataFrame:
        rows = frame(seed=seed)
        return rows.assign(amount=rows["amount"] + np.float32(by))

    (problem,) = found(moved(90_100.0, 1), earlier=moved(earlier, 2))
    assert (problem.kind, problem.column, problem.value, problem.severe) == ("range", "amount", 1.0, severe)


def test_numbers_outside_of_a_range_are_counted_wherever_they_are():
    reference = reference_statistics(frame(2_000, seed=0), numeric=frozenset({"amount", "flag"}))
    bins = reference.bins.columns["amount"]
    now = frame(1_000, seed=3)
    amounts = np.append(now["amount"].to_numpy()[:-100], np.linspace(-5, -1, 100)).astype(np.float32)
    counted = gather([table_of(now.assign(amount=amounts))], reference.bins).columns["amount"]
    assert isinstance(bins, NumberBins)
    assert isinstance(counted, NumberStatistics)
    for low, high in ((-10.0, 1e6), (-3.0, 1.0), (0.5, 2.0), (-2.0, -1.5), (1e5, 1e6)):
        exact = int(((amounts < low) | (amounts > high)).sum())
        assert exact - 25 <= counted.outside_of(low, high, bins) <= exact + 5
