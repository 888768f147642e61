"""Tests of the pages: what stands on them, that nothing given to them is ever markup, and how a browser shows them."""

import itertools
import json
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import websocket
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.shared.formatting import format_share
from components.shared.pages import charts, reports
from components.shared.pages.blocks import Badge, Card, Facts, Items, Link, Note, Status, table
from components.shared.pages.charts.heat_maps import HEAT_OPACITY
from components.shared.pages.reports import Page

HOSTILE = '<script>alert(\'x\')</script> " onload="alert(1)" & 航空会社 😀 ' + "long_" * 60
VOID = {"meta", "link", "line", "path"}


@dataclass
class Reader(HTMLParser):
    """What a browser's parser sees: tags in order, attributes, texts; fails on tags that do not match."""

    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def read(page: Page) -> Reader:
    reader = Reader()
    reader.feed(page.render())
    reader.close()
    assert reader.open_tags == []
    return reader


def demo() -> Page:
    """A page with every block, every chart and every kind of text that has ever broken one."""
    x = np.linspace(0, 1, 100)
    random = np.random.default_rng(0)
    page = Page("Flights: arriving late?", "Candidate against champion", status="warning", status_label="With care")
    section = page.section("At a glance", "First paragraph.\n\nSecond paragraph.")
    section.facts({"Rows": 336_776, "ROC AUC": 0.7531, "Verdict": Badge("passed"), HOSTILE: HOSTILE, "Missing": None})
    for status in ("passed", "warning", "failed", "info"):
        section.note(f"A note that is {status}.", status)
    section.link("Profile", "profile.html").list([HOSTILE, Link("card", "card.html"), Badge("failed", "Blocked")])
    section = page.section("Tables")
    section.table(["Column", "Rows"], [[HOSTILE, 12], ["dep_hour", 8255]], caption="Checks")
    section.table([f"column {i}" for i in range(40)], [[i * 1.5 for i in range(40)]] * 3, limit=2)
    section = page.section("Charts")
    section.chart(charts.lines(x, {"a": x**2, HOSTILE: x}, band={"a": (x**2 - 0.1, x**2)}, diagonal=True, title="ROC"))
    section.chart(charts.heatmap(np.eye(12), [HOSTILE] * 12, [HOSTILE] * 12, title="Correlation"))
    section.chart(charts.scatter(*random.normal(size=(2, 5000)), title="Components"))
    section.grid(
        [charts.bars(["a", HOSTILE], [1, 2], errors=[0.1, 0.2], title=HOSTILE, horizontal=h) for h in (True, False)]
    )
    small = [charts.histogram(range(30), range(31), title=f"column {i}", size="small") for i in range(8)]
    page.section("Columns").grid([Card(f"column {i}", (chart, Facts({"mean": i}))) for i, chart in enumerate(small)])
    return page


# Tables


def test_tables_say_how_many_rows_are_left_out():
    page = Page("t")
    page.section("s").table(["n"], ([i] for i in range(1234)), limit=10)
    page.section("s").table(["n"], ([i] for i in range(2)), limit=1)
    text = read(page).text
    assert "1,224 more rows not shown." in text
    assert "1 more row not shown." in text


def test_numbers_stand_right_and_are_formatted():
    made = table(["name", "n", "mixed", "when"], [["a", 1, 1, None], ["b", None, "x", None]], align={"name": "center"})
    assert made.align == ("center", "right", "left", "left")
    page = Page("t")
    page.section("s").table(["n"], [[1234567.0]])
    assert ("td", "class", "right") in read(page).attributes
    assert "1,234,567" in read(page).text


def test_columns_may_have_a_format_of_their_own():
    made = table(["share", "n"], [[0.5, 0.5], [None, 1]], formats={"share": format_share})
    assert made.rows == (("50%", 0.5), (None, 1))
    assert made.align == ("right", "right")


def test_an_empty_table_says_so():
    page = Page("t")
    page.section("s").table(["a", "b"], [])
    assert "No rows." in read(page).text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [[1, 2], [1]]}, "row 2: expected 2 cells, one a column, found 1"),
        ({"rows": [], "align": {"c": "left"}}, "align: expected names among the columns"),
        ({"rows": [], "formats": {"c": str}}, "formats: expected names among the columns"),
        ({"rows": [], "limit": 0}, "limit: expected at least 1"),
    ],
)
def test_tables_refuse_what_does_not_match(arguments, message):
    with pytest.raises(ValueError, match=message):
        table(["a", "b"], **arguments)


# Status and links


def test_the_verdict_is_a_word_and_a_symbol():
    assert "✓ Passed" in read(Page("t", status="passed")).text
    assert "✕ Blocked" in read(Page("t", status="failed", status_label="Blocked")).text


@pytest.mark.parametrize("make", [Badge, lambda status: Note("x", status), lambda status: Page("t", status=status)])
def test_an_unknown_status_is_refused(make):
    with pytest.raises(ValueError, match="expected one of passed, warning, failed, info, found 'fine'"):
        make("fine")


@pytest.mark.parametrize(
    "href", ["card.html", "../a b.html", "#section-2", "https://x/y?z=1&a=2", "file:///x", "./a:b"]
)
def test_links_to_places(href):
    page = Page("t")
    page.section("s").link("label", href)
    assert ("a", "href", href) in read(page).attributes


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", " JaVaScRiPt:x", "java\nscript:x", "\x01javascript:x", "data:text/html,x", "a:b.html"],
)
def test_links_that_a_browser_would_run_are_refused(href):
    with pytest.raises(ValueError, match="link 'x': expected a relative path or one of http, https, file"):
        Link("x", href)


# Markup


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
@example(HOSTILE, "</title></style></svg><img src=x onerror=alert(1)>")
@example("{{ 7 * 7 }}{% raw %}", "]]><!--")
@example("\ud800\x00\x1b\uffff", "\r\n\t")
def test_nothing_given_to_a_page_is_markup(one, two):
    """Whatever the texts hold, the page has the same tags and attribute names as with harmless ones."""

    def build(one: str, two: str) -> Reader:
        one, two = f"x{one}x", f"x{two}x"  # Empty texts are left out on purpose.
        page = Page(one, two, status="info", status_label=one)
        section = page.section(two, one.replace("\n", " ").replace("\r", " "))
        section.facts({f"a{one}": two}).table([one, f"b{two}"], [[two, one]], caption=f"c{one}").note(two, "failed")
        section.list([one, Badge("passed", two), Link(one, "x.html")]).card(two, [Items((one,))])
        # A label as long as any is drawn in the same way, with its tooltip.
        section.chart(charts.bars([f"{one}{'y' * 60}"], [1], title=f"t{two}", alt=one))
        return read(page)

    given_texts, harmless = build(one, two), build("one", "two")
    assert given_texts.tags == harmless.tags
    names = [
        [(tag, name) for tag, name, _ in reader.attributes if name != "class"] for reader in (given_texts, harmless)
    ]
    assert set(names[0]) == set(names[1])


def test_hostile_names_can_be_read():
    assert " ".join(HOSTILE.split()) in read(demo()).text


def test_pages_need_nothing_from_elsewhere():
    reader = read(demo())
    assert not {"script", "img", "iframe", "object", "form", "base"} & set(reader.tags)
    assert not [name for _, name, _ in reader.attributes if name.startswith("on") or name == "src"]
    hrefs = {value for _, name, value in reader.attributes if name.endswith("href")}
    assert hrefs == {"data:,", "profile.html", "card.html", *(f"#section-{i}" for i in range(1, 5))}
    style = "".join(reader.texts)
    assert "@import" not in style
    assert "url(" not in style


def test_headings_are_in_order_and_ids_unique():
    reader = read(demo())
    levels = [int(tag[1]) for tag in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {v for _, name, v in reader.attributes if name == "aria-labelledby"} <= set(ids)


def test_every_chart_and_every_box_that_scrolls_has_a_name():
    reader = read(demo())
    roles = [value for _, name, value in reader.attributes if name == "role" and value in {"img", "region"}]
    names = [value for _, name, value in reader.attributes if name == "aria-label" and value != "On this page"]
    assert len(roles) == len(names)
    assert all(names)


def test_contents_are_listed_from_four_sections():
    page = Page("t")
    for i in range(3):
        page.section(f"s{i}")
    assert "nav" not in read(page).tags
    page.section("s3")
    assert "nav" in read(page).tags


def palette(scheme: str) -> dict[str, tuple[float, ...]]:
    """Return the page's colours as red, green and blue from 0 to 1."""
    style = Page("t").render().split("</style>")[0]
    light, dark = style.split("prefers-color-scheme: dark")
    text = light if scheme == "light" else dark
    found = re.findall(r"--([a-z0-9-]+): #([0-9a-f]{6});", text)
    return {name: tuple(int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)) for name, code in found}


def contrast(one: tuple[float, ...], two: tuple[float, ...]) -> float:
    """Contrast ratio of WCAG 2."""
    bright = []
    for colour in (one, two):
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
        bright.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(bright) + 0.05) / (min(bright) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast(scheme):
    colours = palette(scheme)
    for name in ("ink", "muted", "link", "passed", "warning", "failed", "info"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
        assert contrast(colours[name], colours["soft"]) >= 4.5, name
    for number in range(1, 7):
        assert contrast(colours[f"series-{number}"], colours["paper"]) >= 3, number
    for name in ("heat-high", "heat-low"):
        share = HEAT_OPACITY
        cell = tuple(a * share + b * (1 - share) for a, b in zip(colours[name], colours["paper"], strict=True))
        assert contrast(colours["ink"], cell) >= 4.5, name


# Writing


def test_pages_are_written_as_utf8_with_their_folder(tmp_path):
    path = Page("Größe 航空").write(tmp_path / "new" / "page.html")
    assert "Größe 航空" in path.read_text(encoding="utf-8")
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


def test_pages_are_the_same_each_time(tmp_path):
    assert demo().write(tmp_path / "a").read_bytes() == demo().write(tmp_path / "b").read_bytes()


def test_pages_get_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    rights = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "plain", Page("t").write(tmp_path / "page"))]
    assert rights[0] == rights[1]


def test_a_page_that_cannot_be_finished_leaves_what_was_there(tmp_path):
    path = Page("old").write(tmp_path / "page.html")
    page = Page("new")
    page.section("s").facts({"a": Unwritable()})
    with pytest.raises(RuntimeError, match="cannot be shown"):
        page.write(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        Page("t").write(tmp_path / "folder")
    assert "old" in path.read_text(encoding="utf-8")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "page.html"]


class Unwritable:
    def __str__(self) -> str:
        raise RuntimeError("cannot be shown")


def test_a_large_table_is_written_whole(tmp_path):
    page = Page("t")
    page.section("s").table([f"c{i}" for i in range(20)], [[i * 0.37 for i in range(20)]] * 2000, limit=2000)
    page.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<tr") == 2_001


# In a browser

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]


@dataclass
class Tab:
    """A tab of a browser, spoken to by the Chrome DevTools protocol."""

    socket: websocket.WebSocket
    session: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        number = next(self.numbers)
        request = {"id": number, "method": method, "params": arguments}
        self.socket.send(json.dumps(request | ({"sessionId": self.session} if self.session else {})))
        result: dict[str, Any] = self.wait(lambda message: message.get("id") == number)["result"]
        return result

    def wait(self, wanted: Any) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(self.socket.recv())
            if wanted(message):
                assert "error" not in message, message
                return message
            self.events.append(message)

    def show(self, path: Path, width: int, scheme: str) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=path.as_uri())
        self.wait(lambda message: message.get("method") == "Page.loadEventFired")

    def value(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    def complaints(self) -> list[dict[str, Any]]:
        noise = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Network.requestWillBeSent"}
        return [event for event in self.events if event.get("method") in noise]


@contextmanager
def opened(profile: Path) -> Iterator[Tab]:
    process = subprocess.Popen([str(BROWSER), *FLAGS, f"--user-data-dir={profile}"], stderr=subprocess.DEVNULL)
    try:
        tab = Tab(websocket.create_connection(debugging_address(profile), suppress_origin=True, timeout=60))
        target = tab.call("Target.createTarget", url="about:blank")["targetId"]
        tab.session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Log", "Runtime", "Page"):
            tab.call(f"{domain}.enable")
        yield tab
        tab.socket.close()
    finally:
        process.terminate()
        process.wait(30)


def debugging_address(profile: Path) -> str:
    for _ in range(600):
        lines = (
            (profile / "DevToolsActivePort").read_text().split() if (profile / "DevToolsActivePort").exists() else []
        )
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise TimeoutError("the browser did not start within 30 s")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if BROWSER is None:
        pytest.skip("no chromium on the PATH: how a browser shows the page is not tested")
    with opened(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 420])
def test_a_browser_shows_the_page_without_complaint(tab, tmp_path, width, scheme):
    tab.events.clear()
    tab.show(demo().write(tmp_path / "page.html"), width, scheme)
    assert tab.value("document.documentElement.scrollHeight") > 2000
    assert tab.value("document.querySelectorAll('figure svg[role=img]').length") == 13
    # Wide tables and charts scroll in their own box, the page never sideways.
    assert tab.value("document.documentElement.scrollWidth") == width
    assert tab.value("[...document.querySelectorAll('.scroll')].some(box => box.scrollWidth > box.clientWidth)")
    dark = tab.value("getComputedStyle(document.documentElement).backgroundColor") == "rgb(21, 24, 28)"
    assert dark == (scheme == "dark")
    assert tab.complaints() == []


def test_drawings_take_the_colours_of_the_page(tab, tmp_path):
    path = demo().write(tmp_path / "page.html")
    seen = []
    for scheme in ("light", "dark"):
        tab.show(path, 1200, scheme)
        seen.append(tab.value("getComputedStyle(document.querySelector('figure .plot path[style*=series]')).fill"))
    assert len(set(seen)) == 2


def test_text_of_drawings_stays_inside_them(tab, tmp_path):
    tab.show(demo().write(tmp_path / "page.html"), 1200, "light")
    outside = """[...document.querySelectorAll('figure svg[role=img]')].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].map(text => text.getBoundingClientRect())
            .filter(box => box.left < frame.left - 4 || box.right > frame.right + 4
                        || box.top < frame.top - 4 || box.bottom > frame.bottom + 4).length })
        .reduce((sum, count) => sum + count)"""
    assert tab.value(outside) == 0


def test_every_status_has_a_symbol():
    assert set(reports._SYMBOLS) == set(get_args(Status))
