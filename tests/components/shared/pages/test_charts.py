"""Tests of the charts: what they draw, that they always draw, and how fast."""

import math
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.shared.pages import charts
from components.shared.pages.blocks import Chart
from components.shared.pages.charts import svg
from components.shared.pages.charts.text import shorten, width_in_letters

any_text = st.text(max_size=60)
any_float = st.floats(allow_nan=True, allow_infinity=True)
steady = settings(max_examples=40, deadline=None)


def parsed(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(f"<svg>{chart.svg}</svg>")


def texts(chart: Chart) -> list[str]:
    return [element.text or "" for element in parsed(chart).iter("text")]


def paths(chart: Chart, color: str) -> list[str]:
    found = [element for element in parsed(chart).iter("path") if f"var(--{color}," in element.get("style", "")]
    return [element.get("d", "") for element in found]


def xs(path: str) -> list[float]:
    words = [word for word in path.split() if word not in {"M", "L", "z"}]
    return [float(word) for word in words[::2]]


def ys(path: str) -> list[float]:
    words = [word for word in path.split() if word not in {"M", "L", "z"}]
    return [float(word) for word in words[1::2]]


def check_drawing(chart: Chart) -> None:
    """What holds for every drawing: inside its frame, colours of the page, finite numbers, no ids, a description."""
    for element in parsed(chart).iter():
        assert element.tag in {"svg", "path", "text", "title"}
        assert set(element.attrib) <= {"d", "x", "y", "transform", "style"}
        assert "url(" not in element.get("style", "")
        assert not any(token in element.get("style", "") for token in svg._CSS)
    for path in parsed(chart).iter("path"):
        across, up = xs(path.get("d", "")), ys(path.get("d", ""))
        assert all(-2 <= x <= chart.width + 2 for x in across)
        assert all(-2 <= y <= chart.height + 2 for y in up)
    assert chart.alt


def examples() -> dict[str, Chart]:
    x = np.linspace(0, 1, 50)
    return {
        "histogram": charts.histogram([3, 9, 4], [0, 1, 2, 3], title="Delay", x_label="minutes"),
        "bars": charts.bars(["a", "b"], [0.4, -0.1], errors=[0.1, 0.05], title="Importance"),
        "standing": charts.bars(["a", "b"], [0.4, 0.2], horizontal=False, title="Share"),
        "lines": charts.lines(x, {"one": x**2}, band={"one": (x**2 - 0.1, x**2 + 0.1)}, diagonal=True, title="ROC"),
        "heatmap": charts.heatmap([[1, -0.5], [-0.5, 1]], ["a", "b"], ["a", "b"], title="Correlation"),
        "scatter": charts.scatter(x, x**2, groups=["g", "h"] * 25, title="Components"),
        "dense": charts.scatter(np.tile(x, 60), np.tile(x, 60) ** 2, title="Many"),
    }


@pytest.mark.parametrize("name", list(examples()))
def test_drawings_are_well_formed_and_follow_the_page(name):
    chart = examples()[name]
    check_drawing(chart)
    assert not any("~" in text for text in texts(chart))


def test_drawings_are_the_same_each_time_and_from_many_threads():
    first = examples()
    with ThreadPoolExecutor(8) as pool:
        for again in pool.map(lambda _: examples(), range(8)):
            assert again == first


def test_settings_of_the_process_neither_change_nor_matter():
    first = examples()
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.grid": True, "text.usetex": True}):
        before = dict(mpl.rcParams)
        assert examples() == first
        assert dict(mpl.rcParams) == before


def test_pyplot_is_never_imported():
    code = "import sys; from components.shared.pages import charts; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_twenty_five_small_histograms_take_less_than_a_second():
    counts, edges = list(range(30)), np.linspace(0, 1, 31)

    def draw() -> float:
        start = time.process_time()
        made = [charts.histogram(counts, edges, title=f"c{i}", x_label="x", size="small") for i in range(25)]
        assert sum(len(chart.svg) for chart in made) < 25 * 4_000
        return time.process_time() - start

    assert min(draw() for _ in range(3)) < 1.0


# Histograms


def test_histogram_heights_are_in_proportion_to_the_counts():
    (path,) = paths(charts.histogram([10, 20, 5], [0, 1, 2, 3], title="t"), "series-1")
    base = max(ys(path))
    heights = [base - y for y in ys(path)]
    assert max(heights) == pytest.approx(2 * heights[2], abs=0.4)
    assert xs(path)[0] == min(xs(path))


def test_histogram_bins_of_different_width_stand_where_their_edges_are():
    (path,) = paths(charts.histogram([1, 1], [0, 1, 10], title="t"), "series-1")
    left, inner, right = sorted(set(xs(path)))[0], sorted(set(xs(path)))[1], sorted(set(xs(path)))[-1]
    # Equal heights: the step between both bins is the point one tenth across.
    assert (inner - left) / (right - left) == pytest.approx(0.1, abs=0.01)


def test_histogram_of_dates_has_dates_on_its_axis_and_in_its_description():
    edges = [datetime(2013, month, 1) for month in (1, 2, 3, 4)]
    chart = charts.histogram([1, 5, 2], edges, title="t")
    assert "Feb" in texts(chart)
    assert "2013-02-01" in chart.alt


def test_histogram_counts_have_whole_ticks():
    labels = texts(charts.histogram([1, 2, 3], [0, 1, 2, 3], title="t", y_label="rows"))
    assert not any("." in label for label in labels)


@steady
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=12, unique=True),
    st.integers(0, 10**18),
)
@example([-1.7976931348623157e308, 1.7976931348623157e308], 1)
@example([0.0, 5e-324], 1)
@example([1.0, 1.0000000000000002], 0)
@example([1e300, 1.0000000000000002e300], 0)
def test_histogram_draws_any_finite_edges(values, top):
    edges = sorted({value + 0.0 for value in values})
    counts = [top // (1 + i) for i in range(len(edges) - 1)]
    check_drawing(charts.histogram(counts, edges, title="t", size="small"))


@pytest.mark.parametrize(
    ("counts", "edges", "message"),
    [
        ([1, 2], [0, 1], "edges: expected 3"),
        ([-1], [0, 1], "counts: expected finite numbers from 0"),
        ([math.nan], [0, 1], "counts: expected finite"),
        ([1], [1, 1], "edges: expected finite, strictly rising"),
        ([1], [0, math.inf], "edges: expected finite"),
        ([1], [None, 1], "edges: expected finite"),
    ],
)
def test_histogram_refuses_what_is_no_histogram(counts, edges, message):
    with pytest.raises(ValueError, match=message):
        charts.histogram(counts, edges, title="t")


# Bars


def test_bars_end_at_their_values():
    (path,) = paths(charts.bars(["a", "b"], [10, 20], title="t"), "series-1")
    one, two = xs(path.split("z")[0]), xs(path.split("z")[1])
    assert max(two) - min(two) == pytest.approx(2 * (max(one) - min(one)), abs=0.3)


def test_bars_write_values_and_a_dash_for_none():
    shown = texts(charts.bars(["a", "b", "c"], [1234, None, math.inf], title="t"))
    assert shown.count("–") == 2
    assert "1,234" in shown


def test_bars_draw_error_bars_as_distances():
    chart = charts.bars(["a"], [10.0], errors=[(4.0, 6.0)], title="t")
    (bar,) = paths(chart, "series-1")
    error = next(e for e in parsed(chart).iter("path") if "stroke: currentColor" in e.get("style", ""))
    unit = (max(xs(bar)) - min(xs(bar))) / 10
    low, high = sorted(xs(error.get("d", "")))
    assert (max(xs(bar)) - low) / unit == pytest.approx(4, abs=0.1)
    assert (high - max(xs(bar))) / unit == pytest.approx(6, abs=0.1)


def test_bars_say_how_many_are_left_out():
    chart = charts.bars([f"c{i}" for i in range(1050)], list(range(1050)), title="t")
    assert chart.note == "1,010 more not shown."
    assert "and 30 more" in chart.alt


@pytest.mark.parametrize("horizontal", [True, False])
@steady
@given(rows=st.lists(st.tuples(any_text, st.none() | any_float, st.floats(0, 1e308)), min_size=1, max_size=6))
@example(rows=[("a", 1.7e308, 1.7e308), ("b", -1.7e308, 1e308)])
@example(rows=[("", 0.0, 0.0)])
@example(rows=[("#110000", None, 0.0)])
def test_bars_draw_any_values(rows, horizontal):
    labels, values, errors = zip(*rows, strict=True)
    check_drawing(charts.bars(labels, values, errors=errors, horizontal=horizontal, title="t"))


@pytest.mark.parametrize(
    ("values", "errors", "message"),
    [
        ([1], None, "values: expected 2"),
        ([1, 2], [1], "errors: expected 2"),
        ([1, 2], [1, -1], "found a negative one"),
        ([1, 2], [(1, 2, 3), (1, 2, 3)], "one distance or a pair"),
    ],
)
def test_bars_refuse_what_does_not_match(values, errors, message):
    with pytest.raises(ValueError, match=message):
        charts.bars(["a", "b"], values, errors=errors, title="t")


# Lines


def test_lines_leave_gaps_and_show_single_points():
    chart = charts.lines([0, 1, 2, 3, 4], {"a": [1, None, 2, None, 3]}, title="t")
    assert any(path.count("M") == 3 for path in paths(chart, "series-1"))


def test_lines_name_several_series_in_a_legend_and_one_at_the_axis():
    assert charts.lines([0, 1], {"one": [1, 2]}, title="t").legend == ()
    assert "one" in texts(charts.lines([0, 1], {"one": [1, 2]}, title="t"))
    many = charts.lines([0, 1], {f"s{i}": [i, i] for i in range(8)}, title="t")
    assert [entry.name for entry in many.legend] == [f"s{i}" for i in range(8)]
    assert len({(entry.colour, entry.dash) for entry in many.legend}) == 8


def test_lines_of_each_name_may_have_their_own_places():
    chart = charts.lines({"a": [0, 1], "b": [0, 0.5, 1]}, {"a": [0, 1], "b": [0, 1, 1]}, diagonal=True, title="ROC")
    assert paths(chart, "series-2")[0].count("L") == 2
    check_drawing(chart)


def test_long_lines_stay_small_and_keep_their_peaks():
    y = np.random.default_rng(1).normal(size=100_000)
    y[77_777] = 50
    chart = charts.lines(np.arange(100_000), {"y": y}, title="t")
    flat = charts.lines(np.arange(100_000), {"y": np.r_[np.zeros(99_999), 50]}, title="t")
    assert min(ys(paths(chart, "series-1")[0])) == pytest.approx(min(ys(paths(flat, "series-1")[0])), abs=1.5)
    assert len(chart.svg) < 30_000


def test_lines_over_dates_times_and_names():
    days = [date(2013, 1, 1) + timedelta(days=i) for i in range(100)]
    zoned = [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(100)]
    for places in (
        days,
        zoned,
        np.array(days, dtype="datetime64[D]"),
        [*days[:-1], None],
        [f"w{i}" for i in range(100)],
    ):
        chart = charts.lines(places, {"a": list(range(100))}, title="t")
        check_drawing(chart)
        assert len(texts(chart)) > 3
    check_drawing(charts.lines([days[0]], {"a": [1]}, title="t"))


@steady
@given(st.lists(st.tuples(any_float, any_float, any_float, any_float), min_size=1, max_size=8), st.booleans())
@example([(1.7e308, 1.7e308, -1.7e308, 1.7e308), (-1.7e308, -1.7e308, math.nan, 0.0)], True)
@example([(0.0, 5e-324, 0.0, 0.0), (5e-324, 0.0, 0.0, 0.0)], False)
def test_lines_draw_any_values(rows, diagonal):
    x, y, low, high = (list(column) for column in zip(*rows, strict=True))
    check_drawing(charts.lines(x, {"a": y, "b": low}, band={"a": (low, high)}, diagonal=diagonal, title="t"))


@pytest.mark.parametrize(
    ("x", "band", "message"),
    [
        ([0], {}, "series 'a': expected 1"),
        ({"b": [0, 1]}, {}, "x: expected the names"),
        ([0, 1], {"c": ([0, 1], [0, 1])}, "band: expected names"),
        ([0, 1], {"a": ([0], [0, 1])}, "series 'a': expected 2"),
    ],
)
def test_lines_refuse_what_does_not_match(x, band, message):
    with pytest.raises(ValueError, match=message):
        charts.lines(x, {"a": [1, 2]}, band=band, title="t")


# Heat maps


def test_heatmap_colours_by_sign_and_strength():
    chart = charts.heatmap([[1.0, 0.5], [-1.0, 0.0]], ["r", "s"], ["a", "b"], title="t", annotate=False)
    styles = [e.get("style", "") for e in parsed(chart).iter("path") if "--heat" in e.get("style", "")]
    assert len(styles) == 3
    assert sum("--heat-low" in style for style in styles) == 1


def test_heatmap_writes_numbers_only_where_they_fit():
    assert "0.50" in texts(charts.heatmap([[1, 0.5]], ["r"], ["a", "b"], title="t"))
    for columns in (20, 60):
        wide = charts.heatmap(np.full((2, columns), 1.234567e-9), ["r", "s"], ["c"] * columns, title="t")
        assert not any("1.23" in text for text in texts(wide))
    assert "–" in texts(charts.heatmap([[1.0, math.nan]], ["r"], ["a", "b"], title="t"))


def test_heatmap_of_many_columns_shows_the_first_and_says_so():
    names = [f"a_long_column_name_number_{i}" for i in range(100)]
    chart = charts.heatmap(np.eye(100), names, names, title="t")
    assert chart.note == "First 60 rows and 60 columns shown."
    check_drawing(chart)


@steady
@given(st.integers(1, 4), st.integers(1, 4), st.data())
@example(1, 1, None)
def test_heatmap_draws_any_values(rows, columns, data):
    if data is None:
        check_drawing(charts.heatmap([[0.0]], [""], ["a"], title="t"))
        return
    row = st.lists(any_float, min_size=columns, max_size=columns)
    cells = np.array(data.draw(st.lists(row, min_size=rows, max_size=rows)))
    names = data.draw(st.lists(any_text, min_size=rows, max_size=rows))
    check_drawing(charts.heatmap(cells, names, ["c"] * columns, title="t", x_label="x", y_label="y"))


def test_heatmap_refuses_what_does_not_match():
    with pytest.raises(ValueError, match=r"expected shape \(1, 2\), found \(1, 1\)"):
        charts.heatmap([[1]], ["r"], ["a", "b"], title="t")
    with pytest.raises(ValueError, match="top: expected a number above 0"):
        charts.heatmap([[1]], ["r"], ["a"], title="t", top=0)


# Scatter plots


def test_scatter_draws_each_point_once():
    chart = charts.scatter(range(10), range(10), groups=["a", "b"] * 5, title="t")
    assert [paths(chart, f"series-{i}")[0].count("M") for i in (1, 2)] == [5, 5]
    assert [entry.name for entry in chart.legend] == ["a", "b"]


def test_scatter_of_many_points_is_binned_and_small():
    points = np.random.default_rng(0).normal(size=(2, 300_000))
    chart = charts.scatter(*points, title="t")
    assert len(chart.svg) < 150_000
    assert "300,000 points" in chart.alt
    check_drawing(chart)


def test_scatter_counts_the_points_it_leaves_out():
    chart = charts.scatter([0, 1, math.nan, math.inf], [0, None, 1, 1], title="t")
    assert chart.note == "3 points without a finite place left out."


@steady
@given(st.lists(st.tuples(any_float, any_float, any_text), min_size=1, max_size=8))
@example([(1.7e308, -1.7e308, "a"), (-1.7e308, 1.7e308, "a")])
def test_scatter_draws_any_values(rows):
    x, y, groups = zip(*rows, strict=True)
    check_drawing(charts.scatter(x, y, groups=groups, title="t"))


def test_scatter_refuses_what_does_not_match():
    with pytest.raises(ValueError, match="y: expected 2"):
        charts.scatter([1, 2], [1], title="t")
    with pytest.raises(ValueError, match="groups: expected 2"):
        charts.scatter([1, 2], [1, 2], groups=["a"], title="t")


# Nothing to draw, and text


@pytest.mark.parametrize(
    "chart",
    [
        charts.histogram([], [], title="t"),
        charts.bars([], [], title="t"),
        charts.lines([], {"a": []}, title="t"),
        charts.lines([0], {"a": [math.nan]}, title="t"),
        charts.lines([0], {}, title="t"),
        charts.lines([math.nan], {"a": [1]}, title="t"),
        charts.heatmap(np.zeros((0, 0)), [], [], title="t"),
        charts.scatter([], [], title="t"),
    ],
)
def test_nothing_to_draw_says_so(chart):
    assert texts(chart) == ["No data"]
    assert chart.alt == "t: no data"


@steady
@given(any_text)
@example("$x_1$ and \\frac{1}{2}")
@example("<script>alert(1)</script> & ]]>")
@example("航空会社 ✈️ 😀")
@example("\x00\x1b\ud800\uffff")
@example("~0~")
@example("n" * 60)
def test_labels_may_hold_anything(name):
    """Whatever a column is called, its label is that text, shortened if need be, with the whole one as a tooltip."""
    chart = charts.bars([name], [1], title="t")
    label = next(iter(parsed(chart).iter("text")))
    known = [" ".join(part.split()) for part in label.itertext()]
    clean = " ".join(svg._printable(name).split())
    assert clean in known or not clean


@steady
@given(st.text(min_size=1, max_size=80), st.integers(3, 30))
def test_shortened_text_fits(text, limit):
    assert width_in_letters(shorten(text, limit)) <= limit


def test_shortened_names_keep_both_ends():
    first, second = (shorten("a_rather_long_common_beginning_" + end, 20) for end in ("max", "min"))
    assert first != second
    assert first.startswith("a_rather")
