"""The README and the pages of docs/: what they name exists, and what they show is valid."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components.shared.config import Config
from pipelines.cli.app import application
from pipelines.cli.configuration_page import configuration_page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted([README, *DOCS.glob("*.md"), ROOT / "manifests/README.md", ROOT / "images/README.md"])
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for _, language, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def code(page: Path) -> list[str]:
    """What a reader can type: lines of shell blocks, and pieces of code in sentences."""
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    return [*lines, *(" ".join(span.split()) for span in _SPAN.findall(prose))]


def words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # a piece that ends within quotes
        return text.split()


def targets_named(page: Path) -> Iterator[str]:
    for piece in code(page):
        if piece.startswith("make "):
            yield from (word for word in words(piece)[1:] if re.fullmatch("[a-z][a-z-]*", word))


def anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_readme_is_read_in_some_minutes():
    assert len(README.read_text(encoding="utf-8").split()) <= 900


@EVERY_PAGE
def test_every_target_that_a_page_names_is_in_the_makefile(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    # `make bench-` stands for all of them.
    assert {name for name in targets_named(page) if not name.endswith("-")} <= targets


@EVERY_PAGE
def test_every_verb_that_a_page_names_is_one(page):
    named = {verb for piece in code(page) for verb in re.findall(r"-m pipelines ([a-z][a-z-]*)", piece)}

    assert named <= set(application().commands)


def test_pages_name_targets_and_verbs_at_all():
    assert {"run", "docs", "submit"} <= {name for page in PAGES for name in targets_named(page)}
    assert any("-m pipelines rollback" in piece for page in PAGES for piece in code(page))


@EVERY_PAGE
def test_complete_configurations_are_valid(page):
    for block in blocks(page, "yaml"):
        found = yaml.safe_load(block)
        if isinstance(found, dict) and {"name", "source", "problem"} <= set(found):
            Config.model_validate(found)


def test_the_readme_shows_a_complete_configuration_of_ten_lines():
    (block,) = blocks(README, "yaml")

    assert len(block.splitlines()) <= 10
    assert Config.model_validate(yaml.safe_load(block)).problem.target == "churned"


@EVERY_PAGE
def test_links_lead_somewhere(page):
    for link in _LINK.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"
        # The site holds docs/ alone.
        assert page.parent != DOCS or target.parent == DOCS, f"{page.name}: {link}"


def test_every_page_is_in_the_navigation_and_linked_by_the_readme():
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    listed = {file for entry in navigation for file in entry.values()}

    assert listed == {page.name for page in DOCS.glob("*.md")}
    linked = {link.removeprefix("docs/") for link in _LINK.findall(README.read_text(encoding="utf-8"))}
    assert listed - {"index.md"} <= linked


def test_the_configuration_page_is_that_of_the_models():
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")

    assert written == configuration_page(Config.model_json_schema()), "run `make docs`, which writes it anew"


def test_the_configuration_page_describes_every_key():
    lines = (DOCS / "configuration.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| `")]

    assert len([row for row in rows if len(row) == 4]) > 150
    assert [row[0] for row in rows if len(row) == 4 and not row[3].removesuffix("|").strip()] == []
