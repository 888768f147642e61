"""The table of stages is the truth about them, and whatever cannot be derived from it says the same."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

from components.shared.component import image_of
from components.shared.stages import BY_NAME, STAGES, TRAINING, Stage
from pipelines.fusing import component_of

COMPONENTS = Path(__file__).parents[3] / "components"
# What an adapter imports outside its function, besides the standard library.
LIGHT = {"kfp", "components.shared.component"}


def outputs(stage: str) -> set[str]:
    return set(component_of(stage).component_spec.outputs or {})


def test_every_folder_of_a_stage_is_in_the_table_and_the_other_way_round():
    folders = {path.parent.name for path in COMPONENTS.glob("*/component.py")} - {"shared"}

    assert {stage.folder or stage.name for stage in STAGES} == folders


def test_every_component_of_an_adapter_is_a_row():
    found = set()
    for adapter in {stage.adapter for stage in STAGES}:
        module = importlib.import_module(adapter)
        found |= {name for name, value in vars(module).items() if hasattr(value, "component_spec")}

    assert found == set(BY_NAME)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_name_is_one_word_so_that_several_make_the_name_of_a_task(stage):
    assert stage.name.isascii()
    assert stage.name.isalpha()
    assert stage.name.islower()


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_outputs_that_a_row_names_are_the_adapters(stage):
    assert {page.artifact for page in stage.pages} <= outputs(stage.name)
    assert {name for name, _ in stage.brought} <= outputs(stage.name)
    for place in (*stage.warnings, *stage.remarks):
        assert place.artifact in outputs(place.written_by or stage.name), place


def test_the_pages_of_a_row_are_all_that_its_adapter_writes():
    for stage in STAGES:
        specs = component_of(stage.name).component_spec.outputs or {}
        pages = {name for name, output in specs.items() if output.type.startswith("system.HTML")}
        # A prediction's page is named where its rows are.
        assert pages - {"predict_page"} == {page.artifact for page in stage.pages}, stage.name


def test_the_training_pipeline_calls_its_stages_in_the_order_of_the_table():
    text = (COMPONENTS.parent / "pipelines" / "training.py").read_text(encoding="utf-8")
    calls = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add"
    ]
    called = [ast.unparse(call.args[0]) for call in sorted(calls, key=lambda call: call.lineno)]

    assert tuple(called) == TRAINING


@pytest.mark.parametrize("adapter", sorted({stage.adapter for stage in STAGES}))
def test_an_adapter_imports_only_kfp_outside_its_function(adapter):
    """Compiling a pipeline needs no library of a stage, and the text of a component none of what is outside."""
    path = COMPONENTS.parent.joinpath(*adapter.split(".")).with_suffix(".py")
    imported = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")

    ours = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name if name in LIGHT else name.split(".")[0] for name in ours} <= LIGHT


def test_an_image_is_named_by_its_variable_or_is_the_one_built_here(monkeypatch):
    stage = Stage(name="ingest", image="stage")
    monkeypatch.delenv("FULLCIRCLE_STAGE_IMAGE", raising=False)
    assert image_of(stage) == "localhost/fullcircle/stage:dev"
    monkeypatch.setenv("FULLCIRCLE_STAGE_IMAGE", "registry.example/stage:1")
    assert image_of(stage) == "registry.example/stage:1"


def test_the_page_of_the_stages_tells_what_the_table_does():
    text = (COMPONENTS.parent / "docs" / "stages.md").read_text(encoding="utf-8")
    first, second = (part.partition("\n\n")[0].splitlines()[2:] for part in text.split("\n| stage |")[1:3])
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in first]
    pages = {row[0]: {word for word in re.findall(r"`(\w+)`", row[3]) if word != "predict_page"} for row in cells}

    assert pages == {stage.name: {page.artifact for page in stage.pages} for stage in STAGES}
    assert {line.strip("|").split("|")[0].strip() for line in second} == set(BY_NAME)
    anew = next(
        line
        for line in text.splitlines()
        if line.endswith("run anew in every run: what they ask outside may have changed")
    )
    named = set(re.findall(r"[a-z]+", anew.partition(" run anew")[0].lower())) - {"and"}
    assert named == {stage.name for stage in STAGES if not stage.cached}
