"""Several stages as one function, called by KFP's own executor."""

import inspect
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kfp import dsl
from kfp.dsl.executor import Executor

from pipelines.fused import Wiring, fused


def first(text: str, table: dsl.Output[dsl.Dataset], times: int = 2) -> NamedTuple("Outputs", length=int):  # type: ignore[valid-type]
    Path(table.path).write_text(text * times)
    table.metadata["rows"] = times
    return NamedTuple("Outputs", length=int)(len(text) * times)  # type: ignore[operator]


def second(
    table: dsl.Input[dsl.Dataset], length: int, other: dsl.Input[dsl.Artifact], page: dsl.Output[dsl.HTML]
) -> str:
    assert table.metadata["rows"] == 2
    content = Path(table.path).read_text()
    Path(page.path).write_text(f"{content} {length} {Path(other.path).read_text()}")
    return "well"


def broken(page: dsl.Input[dsl.HTML]) -> None:
    raise ValueError(f"no: {Path(page.path).read_text()}")


FIRST = Wiring({"text": "text"}, {}, {"table": "table", "length": "length"})
SECOND = Wiring(
    {"other": "other"},
    {"table": ("first", "table"), "length": ("first", "length")},
    {"page": "page", "Output": "Output"},
)


def artifact(folder: Path, name: str, kind: str) -> dict[str, Any]:
    found = {"name": name, "type": {"schemaTitle": kind}, "uri": str(folder / name), "metadata": {}}
    return {"artifacts": [found]}


def execute(function: Any, folder: Path) -> Any:
    (folder / "other").write_text("beside")
    other = artifact(folder, "other", "system.Artifact")
    given = {
        "inputs": {"parameterValues": {"text": "ab"}, "artifacts": {"other": other}},
        "outputs": {
            "artifacts": {
                "table": artifact(folder, "table", "system.Dataset"), "page": artifact(folder, "page", "system.HTML"),
            },
            "outputFile": str(folder / "output.json"),
        },
    }  # fmt: skip
    Executor(executor_input=given, function_to_execute=function).execute()
    return json.loads((folder / "output.json").read_text())


def test_each_stage_gets_its_inputs_and_what_the_one_before_put_out(tmp_path, capsys):
    output = execute(fused([first, second], {"first": FIRST, "second": SECOND}), tmp_path)

    assert (tmp_path / "table").read_text() == "abab"
    assert (tmp_path / "page").read_text() == "abab 4 beside"
    assert output["parameterValues"] == {"length": 4, "Output": "well"}
    assert output["artifacts"].keys() == {"table", "page"}
    assert output["artifacts"]["table"]["artifacts"][0]["metadata"] == {"rows": 2}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" after")[0] for line in lines] == [
        "■ first begins", "■ first ended", "■ second begins", "■ second ended"
    ]  # fmt: skip


def test_the_signature_is_the_tasks():
    found = inspect.signature(fused([first, second], {"first": FIRST, "second": SECOND}))

    assert list(found.parameters) == ["text", "table", "other", "page"]
    assert found.parameters["other"].annotation == dsl.Input[dsl.Artifact]
    assert found.return_annotation._fields == ("length", "Output")


def test_a_stage_that_fails_ends_the_task_and_the_log_says_which(tmp_path, capsys):
    wiring = Wiring({}, {"page": ("second", "page")}, {})
    with pytest.raises(ValueError, match="no: abab 4 beside"):
        execute(fused([first, second, broken], {"first": FIRST, "second": SECOND, "broken": wiring}), tmp_path)

    assert capsys.readouterr().out.splitlines()[-1] == "■ broken begins"


def test_stages_that_return_nothing_make_a_task_that_returns_nothing(tmp_path):
    def alone(text: str, other: dsl.Input[dsl.Artifact], page: dsl.Output[dsl.HTML]) -> None:
        Path(page.path).write_text(f"{text} {Path(other.path).read_text()}")

    wiring = Wiring({"text": "text", "other": "other"}, {}, {"page": "page"})
    output = execute(fused([alone], {"alone": wiring}), tmp_path)

    assert (tmp_path / "page").read_text() == "ab beside"
    assert "parameterValues" not in output
