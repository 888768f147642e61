import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.shared.config import Task
from components.shared.errors import PackageError
from components.shared.model_package import GOLDEN, read_golden
from components.shared.schema import FILE, Schema
from tests.helpers import make_manifest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of kserve's libraries, about one another
    import kserve
    from kserve.errors import InvalidInput

    from images.predictor.model import PackageModel

ROW = {"amount": 1.5, "visits": 2, "member": True, "colour": "green", "opened at": "2024-01-02T03:04:05"}
TASKS: list[Task] = ["binary", "multiclass", "regression"]


@pytest.fixture(scope="module")
def models(packages) -> dict[Task, PackageModel]:
    found: dict[Task, PackageModel] = {task: PackageModel("demo", packages(task)) for task in TASKS}
    assert all(model.load() and model.ready for model in found.values())
    return found


def request(**columns: tuple[str, list[Any]]) -> Any:
    """A V2 request: datatype and values by column."""
    tensors = [
        kserve.InferInput(name=name.replace("_", " "), shape=[len(values)], datatype=datatype, data=values)
        for name, (datatype, values) in columns.items()
    ]
    return kserve.InferRequest(model_name="demo", infer_inputs=tensors)


def two_rows(**changes: tuple[str, list[Any]]) -> Any:
    columns: dict[str, tuple[str, list[Any]]] = {
        "amount": ("FP64", [1.5, -1.5]),
        "visits": ("INT64", [2, 3]),
        "member": ("BOOL", [True, False]),
        "colour": ("BYTES", ["green", "röt"]),
        "opened_at": ("BYTES", ["2024-01-02T03:04:05", "2024-01-03"]),
    }
    return request(**(columns | changes))


@pytest.mark.parametrize("task", TASKS)
def test_rows_are_answered_one_by_one(models, packages, task):
    golden = read_golden(packages(task))
    answer = models[task].predict({"instances": [item.row for item in golden]})
    assert answer["predictions"] == [item.answer for item in golden]
    assert answer["model_version"] == models[task].scorer.version
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize("task", TASKS)
def test_both_protocols_agree(models, task):
    rows = [ROW, {**ROW, "amount": -1.5, "visits": 3, "member": False, "colour": "röt", "opened at": "2024-01-03"}]
    expected = models[task].predict({"instances": rows})["predictions"]
    outputs = {output.name: output for output in models[task].predict(two_rows()).outputs}
    if task == "regression":
        assert outputs["values"].shape == [2]
        assert outputs["values"].data == pytest.approx([row["value"] for row in expected])
        assert len(outputs) == 1
        return
    names = [str(label).lower() for label in models[task].scorer.schema.classes]
    assert outputs["label"].data == [str(row["label"]).lower() for row in expected]
    assert outputs["probabilities"].shape == [2, len(names)]
    flat = [row["probabilities"][name] for row in expected for name in names]
    assert outputs["probabilities"].data == pytest.approx(flat)


@pytest.mark.parametrize("task", TASKS)
def test_inputs_and_outputs_describe_themselves(models, task):
    inputs = {entry["name"]: entry["datatype"] for entry in models[task].get_input_types()}
    assert inputs == {"amount": "FP64", "visits": "INT64", "member": "BOOL", "colour": "BYTES", "opened at": "BYTES"}
    announced = {entry["name"]: entry["datatype"] for entry in models[task].get_output_types()}
    answered = {output.name: output.datatype for output in models[task].predict(two_rows()).outputs}
    assert announced == answered


def test_columns_may_be_matrices_of_one_column_binary_or_partly_missing(models):
    model = models["binary"]
    expected = model.predict(two_rows()).outputs[0].data
    nested = two_rows()
    for tensor in nested.inputs:
        tensor.data, tensor.shape = [[value] for value in tensor.data], [2, 1]
    assert model.predict(nested).outputs[0].data == expected
    binary = two_rows()
    for tensor, dtype in zip(binary.inputs, ("float64", "int64", "bool", "object", "object"), strict=True):
        tensor.set_data_from_numpy(np.array(tensor.data, dtype=dtype))
    assert model.predict(binary).outputs[0].data == expected
    missing = model.predict(two_rows(amount=("FP64", [None, float("nan")]), colour=("BYTES", [None, None])))
    assert missing.outputs[0].data != expected
    assert np.isfinite(missing.outputs[0].data).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visits": ("INT64", [2, 3.5])}, "Row 1, column 'visits': found 3.5; expected a whole number"),
        ({"amount": ("FP64", [1.5, "x"])}, "Row 1, column 'amount': found 'x'; expected a number or null"),
        ({"amount": ("FP64", [1.5])}, "the same number of rows, at least 1; found {'amount': 1, 'visits': 2"),
        ({"member": ("BOOL", [True, None])}, "Row 1, column 'member': found null; expected true or false"),
    ],
)
def test_columns_that_do_not_fit_are_named(models, changes, message):
    with pytest.raises(InvalidInput) as caught:
        models["binary"].predict(two_rows(**changes))
    assert message in str(caught.value)


def test_requests_that_contradict_themselves(models):
    model = models["binary"]
    wrong = two_rows()
    wrong.inputs[0].shape = [1, 2]
    with pytest.raises(
        InvalidInput, match=r"'amount' has shape \[1, 2\] and 2 values; expected \[rows\] or \[rows, 1\]"
    ):
        model.predict(wrong)
    twice = two_rows()
    twice.inputs.append(twice.inputs[0])
    with pytest.raises(InvalidInput, match="inputs of different names"):
        model.predict(twice)
    unknown = two_rows()
    unknown.inputs[1]._datatype, unknown.inputs[1].data = "INT7", None
    with pytest.raises(InvalidInput, match="Input 'visits' cannot be read as INT7"):
        model.predict(unknown)
    with pytest.raises(InvalidInput, match=r"found \{\}"):
        model.predict(request())
    with pytest.raises(InvalidInput, match="Row 0: column 'visits' is missing"):
        model.predict(request(amount=("FP64", [1.0])))


@pytest.mark.parametrize(
    "payload", [{}, {"instances": []}, {"instances": {}}, {"instances": None}, [], None, b"[1]", b"null", 7]
)
def test_a_body_without_rows_is_refused(models, payload):
    with pytest.raises(InvalidInput, match=r'Expected \{"instances": \[row, …\]\} with at least one row'):
        models["binary"].predict(payload)


def test_a_row_that_is_no_object_is_refused(models):
    with pytest.raises(InvalidInput, match=r"Row 1: found \[1\]; expected an object"):
        models["binary"].predict({"instances": [ROW, [1]]})


def test_a_body_of_another_content_type_is_read_as_json(models):
    body = json.dumps({"instances": [ROW]}).encode()
    assert models["binary"].predict(body) == models["binary"].predict({"instances": [ROW]})
    with pytest.raises(InvalidInput, match="The body is not JSON"):
        models["binary"].predict(b"a=b")


# Packages that must not be served


def test_a_tampered_package_is_refused(packages, tmp_path):
    folder: Path = shutil.copytree(packages(), tmp_path / "package")
    schema = Schema.read(folder)
    schema.model_copy(update={"classes": [True, False]}).write(folder)
    model = PackageModel("demo", folder)
    with pytest.raises(PackageError, match="schema.json is not the file the manifest lists"):
        model.load()
    assert not model.ready


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (GOLDEN, ("0.", "1."), r"answers \d of 5 golden requests wrongly: request \d: expected"),
        (
            GOLDEN,
            ('"visits": ', '"visits": "x", "was": '),
            "golden requests of version [0-9a-f]+ do not fit its schema",
        ),
        ("model.onnx", None, "cannot be loaded as an ONNX model"),
        (FILE, ("false,", "true,"), r"answers \d of 5 golden requests wrongly|cannot be read"),
    ],
)
def test_a_package_that_does_not_prove_itself_is_refused(packages, tmp_path, file, change, message):
    """Its hashes are right: it was broken before it was published."""
    folder: Path = shutil.copytree(packages(), tmp_path / "package")
    content = (folder / file).read_text(encoding="utf-8") if change else "no model"
    changed = content.replace(*change) if change else content
    if file == FILE:
        changed = json.dumps(json.loads(content) | {"classes": [True, False]})
    (folder / file).write_text(changed, encoding="utf-8")
    make_manifest(folder)
    with pytest.raises(PackageError, match=message):
        PackageModel("demo", folder).load()
