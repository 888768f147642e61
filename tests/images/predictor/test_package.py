"""Packages that were tampered with: none is served, whatever was done to them."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from components.shared.errors import PackageError
from components.shared.package.model_package import (
    FILES,
    GOLDEN,
    MANIFEST,
    METRICS,
    REFERENCE_STATISTICS,
    TRAINING,
)
from components.shared.package.scoring import MODEL_FILE
from components.shared.tasks import TASKS
from images.predictor.package import load_package, prediction_quantiles
from images.predictor.program import REFUSED
from tests.helpers import make_manifest
from tests.images.predictor.serving import command, environment, is_open

ALL = sorted({*FILES, MANIFEST})
Change = Callable[[Path], object]


@pytest.fixture
def package(packages: Callable[..., Path], tmp_path: Path) -> Path:
    return shutil.copytree(packages(), tmp_path / "package")


def refused(package: Path) -> str:
    """The message a package is refused with: one that a person can read."""
    with pytest.raises(PackageError) as caught:
        load_package(package)
    message = str(caught.value)
    assert str(package) in message or "version" in message.lower()
    assert message.endswith(".")
    assert len(message.splitlines()) == 1
    assert "Traceback" not in message
    return message


def test_what_was_not_touched_is_served(packages):
    for task in TASKS:
        scorer, manifest = load_package(packages(task))
        assert (scorer.schema.task, scorer.version) == (task, manifest.version)


# Changes that the manifest shows


@pytest.mark.parametrize("place", [0.0, 0.1, 0.3, 0.5, 0.8, 0.999])
@pytest.mark.parametrize("name", ALL)
def test_a_flipped_byte_is_refused(package, name, place):
    """In the manifest itself, where white space and times mean nothing, a flip may leave it as true as it was."""
    content = bytearray((package / name).read_bytes())
    content[int(place * len(content))] ^= 0x10
    (package / name).write_bytes(content)
    if name == MANIFEST and tells_the_same(package, bytes(content)):
        return
    refused(package)


def tells_the_same(package: Path, manifest: bytes) -> bool:
    """Whether a damaged manifest still tells all that is proven: format, version and the files' hashes."""
    flipped, proven = json_or_none(manifest), ("format", "version", "files")
    before = make_manifest_of(package)
    return isinstance(flipped, dict) and {key: flipped.get(key) for key in proven} == before and len(flipped) == 8


def json_or_none(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def make_manifest_of(package: Path) -> dict[str, Any]:
    other = shutil.copytree(package, package.with_name("other"))
    made = make_manifest(other)
    return {"format": made.format, "version": made.version, "files": made.files}


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("name", ALL)
def test_a_truncated_file_is_refused(package, name, left):
    content = (package / name).read_bytes()
    (package / name).write_bytes(content[: int(left * (len(content) - 2))])
    refused(package)


@pytest.mark.parametrize("name", ALL)
def test_a_file_that_was_appended_to_is_refused(package, name):
    with (package / name).open("ab") as file:
        file.write(pickle.dumps(print))
    refused(package)


@pytest.mark.parametrize("name", ALL)
def test_a_missing_file_is_refused(package, name):
    (package / name).unlink()
    assert name in refused(package)


@pytest.mark.parametrize("name", ALL)
def test_a_folder_in_place_of_a_file_is_refused(package, name):
    (package / name).unlink()
    (package / name).mkdir()
    assert name in refused(package)


@pytest.mark.parametrize("name", ALL)
def test_a_link_is_refused_though_what_it_points_at_is_right(package, name):
    outside = package.with_name(name)
    (package / name).rename(outside)
    (package / name).symlink_to(outside)
    assert "is a link" in refused(package)


@pytest.mark.parametrize(
    "name",
    ["model.pkl", ".hidden", ".model.onnx", "sub/model.onnx", "a/b/c.joblib", "model.onnx.bak", "__init__.py",
     "sitecustomize.py", "Model.onnx", "manifest.json ", "räuber.bin", "model\n.onnx"],
)  # fmt: skip
def test_an_extra_file_is_refused(package, name):
    (package / name).parent.mkdir(parents=True, exist_ok=True)
    (package / name).write_bytes(pickle.dumps(print))
    with pytest.raises(PackageError, match="which its manifest does not list; it is refused"):
        load_package(package)


@pytest.mark.parametrize("target", ["/dev/null", "/etc", "..", "model.onnx", "nothing"])
def test_an_extra_link_is_refused(package, target):
    (package / "extra").symlink_to(target)
    assert "holds extra, which is a link" in refused(package)


def test_a_pipe_is_refused_without_being_read(package):
    (package / TRAINING).unlink()
    os.mkfifo(package / TRAINING)
    assert "no regular file" in refused(package)


def test_the_manifest_of_another_version_is_refused(package, packages):
    shutil.copyfile(packages("multiclass") / MANIFEST, package / MANIFEST)
    assert "its SHA-256 differs" in refused(package)


def change(package: Path, **changes: Any) -> None:
    content = json.loads((package / MANIFEST).read_bytes()) | changes
    (package / MANIFEST).write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


@pytest.mark.parametrize(
    "changes",
    [{"format": "fullcircle/2"}, {"format": "fullcircle/1 "}, {"format": None}, {"format": ...}, {"format": ["x"]},
     {"extra": 1}, {"__class__": "os.system"}, {"version": ...}, {"files": ...}, {"lineage": ...}, {"name": ...},
     {"version": "0" * 12}, {"version": 1}, {"version": "../../x"}, {"files": {}}, {"files": []}, {"files": "all"}],
    ids=str,
)  # fmt: skip
def test_another_manifest_is_refused(package, changes):
    change(package, **changes)
    refused(package)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "sub/../model.onnx", "./model.onnx", "", "model.pkl"])
def test_a_manifest_that_lists_other_paths_is_refused(package, name):
    files = json.loads((package / MANIFEST).read_bytes())["files"]
    (package.with_name("outside")).write_bytes(b"")
    change(package, files=files | {name: files[MODEL_FILE]})
    assert "lists" in refused(package)
    del files[MODEL_FILE]
    change(package, files=files | {name: "0" * 64})
    assert "lists" in refused(package)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b"\0" * 100, b"1e999"])
def test_a_manifest_that_is_none_is_refused(package, content):
    (package / MANIFEST).write_bytes(content)
    refused(package)


# Changes whose hashes are right


def written(name: str, content: bytes) -> Change:
    return lambda package: (package / name).write_bytes(content)


def graph(*, external: str = "", domain: str = "", width: int = 3) -> bytes:
    """A model that loads, unless what it refers to does not."""
    numbers = helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, width])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, width])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [width], [0.0] * width)
    if external:
        weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[width], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", external), ("offset", "0"), ("length", str(4 * width))):
            weights.external_data.add(key=key, value=value)
    node = helper.make_node("Add", ["numbers", "w"], ["probabilities"], domain=domain)
    domains = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made = helper.make_graph([node], "g", [numbers], [answer], [weights])
    return bytes(helper.make_model(made, opset_imports=domains, ir_version=9).SerializeToString())


def cut(package: Path) -> None:
    content = (package / MODEL_FILE).read_bytes()
    (package / MODEL_FILE).write_bytes(content[: len(content) // 2])


def renamed_output(package: Path) -> None:
    model = onnx.load_model_from_string((package / MODEL_FILE).read_bytes())
    for output in model.graph.output:
        if output.name == "probabilities":
            output.name = "label"
    (package / MODEL_FILE).write_bytes(model.SerializeToString())


MODELS: dict[str, Change] = {
    "text": written(MODEL_FILE, b"this is no model"),
    "nothing": written(MODEL_FILE, b""),
    "a pickle": written(MODEL_FILE, pickle.dumps(print)),
    "zeros": written(MODEL_FILE, bytes(1000)),
    "half of it": cut,
    "weights outside": written(MODEL_FILE, graph(external="../outside")),
    "weights at a path of this machine": written(MODEL_FILE, graph(external="/etc/hostname")),
    "weights that are not there": written(MODEL_FILE, graph(external="nothing")),
    "operators of its own": written(MODEL_FILE, graph(domain="ai.onnx.evil")),
    "other inputs": written(MODEL_FILE, graph()),
    "other shapes": written(MODEL_FILE, graph(width=5)),
    "other outputs": renamed_output,
}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_is_none_is_refused(package, model):
    package.with_name("outside").write_bytes(bytes(100))
    MODELS[model](package)
    make_manifest(package)
    message = refused(package)
    assert "cannot be loaded as an ONNX model" in message or "cannot answer its golden requests" in message


def rewritten(name: str, edit: Callable[[Any], Any]) -> Change:
    def apply(package: Path) -> None:
        content = json.loads((package / name).read_bytes())
        edited = edit(content)
        (package / name).write_text(json.dumps(content if edited is None else edited))

    return apply


def answer(**changes: Any) -> Change:
    return rewritten(GOLDEN, lambda golden: golden[1]["answer"].update(changes))


def other(expected: dict[str, Any]) -> dict[str, Any]:
    return {**expected, "label": not expected["label"]}


GOLDENS: dict[str, Change] = {
    "another label": rewritten(GOLDEN, lambda golden: golden[0].update(answer=other(golden[0]["answer"]))),
    "another probability": answer(probabilities={"false": 0.1, "true": 0.9}),
    "a label of another type": answer(label="true"),
    "more in an answer": answer(more=1),
    "a row without a column": rewritten(GOLDEN, lambda golden: golden[0]["row"].pop("visits") and None),
    "a row of another type": rewritten(GOLDEN, lambda golden: golden[0]["row"].update(visits="many")),
    "a row that is none": rewritten(GOLDEN, lambda golden: golden[0].update(row=[1, 2])),
    "no requests": rewritten(GOLDEN, lambda golden: []),
    "an object": rewritten(GOLDEN, lambda golden: {"requests": golden}),
    "other classes": rewritten("schema.json", lambda schema: schema["classes"].reverse()),
    "more classes": rewritten("schema.json", lambda schema: schema["classes"].append("maybe")),
    "no features": rewritten("schema.json", lambda schema: schema.update(features=[])),
    "features of another kind": rewritten("schema.json", lambda schema: schema["features"][0].update(kind="code")),
    "a schema with more in it": rewritten("schema.json", lambda schema: schema.update(code="import os")),
    "a schema that is none": written("schema.json", b"[1]"),
    "a schema that is no JSON": written("schema.json", b"\xff"),
}  # fmt: skip


@pytest.mark.parametrize("golden", GOLDENS)
def test_a_package_that_is_not_proven_by_its_golden_requests_is_refused(package, golden):
    GOLDENS[golden](package)
    make_manifest(package)
    refused(package)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"columns": {}}', '{"columns": {"p": {}}}', '{"columns": {"p": {"quantiles": {"0": null}}}}',
     '{"columns": {"p": {"quantiles": {"0": NaN}}}}', '{"columns": {"p": {"quantiles": [1]}}}', "[" * 100_000],
    ids=lambda content: content[:50],
)  # fmt: skip
def test_a_regression_that_does_not_tell_its_predictions_is_refused(tmp_path, content):
    (tmp_path / REFERENCE_STATISTICS).write_text(content)
    with pytest.raises(PackageError, match="quantiles of the predictions"):
        prediction_quantiles(tmp_path)


def test_the_quantiles_of_a_regression(packages):
    quantiles = prediction_quantiles(packages("regression"))
    assert len(quantiles) == 7
    assert list(quantiles) == sorted(quantiles)


# The program


@pytest.mark.parametrize(
    ("spoil", "sealed", "message"),
    [
        (written(METRICS, b"{} "), False, "its SHA-256 differs"),
        (lambda package: (package / MANIFEST).unlink(), False, "has no manifest.json"),
        (MODELS["operators of its own"], True, "cannot be loaded as an ONNX model"),
        (GOLDENS["another label"], True, "answers 1 of 5 golden requests wrongly: request 0: expected"),
        (GOLDENS["a schema that is none"], True, "cannot be read: content: Input should be an object"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("workers", [1, 2])
def test_the_program_refuses_and_never_opens_its_port(package, free, spoil, sealed, message, workers):
    spoil(package)
    if sealed:
        make_manifest(package)
    with subprocess.Popen(
        command(package, free, workers=workers), env=environment(), stderr=subprocess.PIPE, text=True
    ) as program:
        while program.poll() is None:
            assert not is_open(free)
        _, errors = program.communicate()
    assert program.returncode == REFUSED
    (line,) = map(json.loads, errors.splitlines())
    assert line["level"] == "error"
    assert message in line["message"]
    assert "traceback" not in line
    assert not is_open(free)


def test_a_package_that_is_not_there(tmp_path, free):
    done = subprocess.run(
        command(tmp_path / "none", free), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == REFUSED
    assert "it is no model package" in json.loads(done.stderr)["message"]
    assert sys.executable not in done.stderr
