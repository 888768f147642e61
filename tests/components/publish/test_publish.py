import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.publish.publish import Published, publish_version
from components.shared.errors import PackageError, StoreError
from components.shared.package.model_package import (
    CARD,
    FILES,
    MANIFEST,
    METRICS,
    TRAINED_FILES,
    TRAINING,
    verify,
    version_prefix,
)
from components.shared.registry.registry import Registry
from components.shared.store import Store


@dataclass
class Inputs:
    """What the stages before publish leave behind."""

    model: Path
    evaluated: Path
    verdict: Path

    def publish(self, store: Store, name: str = "demo") -> Published:
        return publish_version(store, name, model=self.model, evaluated=self.evaluated, verdict=self.verdict)

    def judge(self, champion: str | None, **other: object) -> None:
        self.verdict.write_text(json.dumps({"promoted": True, "champion": champion, **other}))


@pytest.fixture
def inputs(packages, tmp_path) -> Inputs:
    return make_inputs(packages(), tmp_path / "inputs")


def make_inputs(package: Path, folder: Path, **metrics: float) -> Inputs:
    """Inputs of the model of a package; other metrics make another version."""
    found = Inputs(folder / "model", folder / "evaluated", folder / "verdict.json")
    for part, names in ((found.model, TRAINED_FILES), (found.evaluated, (METRICS, CARD))):
        part.mkdir(parents=True)
        for name in names:
            shutil.copyfile(package / name, part / name)
    if metrics:
        (found.evaluated / METRICS).write_text(json.dumps(metrics))
    found.judge(None)
    return found


def etags(store: Store, prefix: str = "models/") -> dict[str, str]:
    return {item.key: item.etag for item in store.list(prefix)}


def test_a_model_becomes_a_version_and_no_champion(store, inputs, tmp_path):
    published = inputs.publish(store)
    assert published.created
    assert published.message == f"version {published.version} stored"
    store.get_folder(version_prefix("demo", published.version), tmp_path / "package")
    manifest = verify(tmp_path / "package", version=published.version)
    assert manifest.name == "demo"
    assert manifest.lineage.rows == 600
    assert manifest.libraries == {"scikit-learn": "1.9.1"}
    assert Registry(store, "demo").champion() is None
    assert {item.key.rpartition("/")[2] for item in store.list("models/demo/versions/")} == FILES | {MANIFEST}


def test_the_same_inputs_published_twice_are_one_version(store, inputs):
    first = inputs.publish(store)
    before = {item.key: (item.etag, item.modified) for item in store.list()}
    inputs.judge(first.version)
    second = inputs.publish(store)
    assert second == Published(first.version, created=False)
    assert second.message == f"version {first.version} was stored already"
    assert {item.key: (item.etag, item.modified) for item in store.list()} == before


def test_another_model_is_another_version(store, inputs, packages, tmp_path):
    first = inputs.publish(store)
    before = etags(store, version_prefix("demo", first.version))
    other = make_inputs(packages(), tmp_path / "other", auc=0.7)
    other.judge(first.version)
    second = other.publish(store)
    assert second.version != first.version
    assert etags(store, version_prefix("demo", first.version)) == before


def test_the_champion_stays_what_it_is_whatever_is_published(store, inputs):
    """What the gate compared with is deploy's affair; a version that never serves does no harm."""
    registry = Registry(store, "demo")
    champion = registry.promote("aaaaaaaaaaaa", expected=None)
    for compared_with in (None, "aaaaaaaaaaaa", "bbbbbbbbbbbb"):
        inputs.judge(compared_with)
        inputs.publish(store)
    assert registry.history() == [champion]


def test_models_do_not_share_versions(store, inputs):
    one, two = inputs.publish(store, "demo"), inputs.publish(store, "demo-2")
    assert one.version == two.version
    assert two.created


def test_publishers_at_once_store_a_version_each(store, packages, tmp_path):
    rivals = [make_inputs(packages(), tmp_path / f"rival-{number}", auc=number / 10) for number in range(4)]
    with ThreadPoolExecutor(len(rivals)) as pool:
        assert all(found.created for found in pool.map(lambda rival: rival.publish(store), rivals))
    assert len([key for key in etags(store) if key.endswith(MANIFEST)]) == 4


def test_publishers_of_the_same_model_at_once_do_not_disturb_one_another(store, packages, tmp_path):
    same = [make_inputs(packages(), tmp_path / f"same-{number}") for number in range(3)]

    with ThreadPoolExecutor(len(same)) as pool:
        (version,) = {found.version for found in pool.map(lambda one: one.publish(store), same)}
    store.get_folder(version_prefix("demo", version), tmp_path / "package")
    verify(tmp_path / "package", version=version)


# Interrupted and damaged


def test_a_version_without_a_manifest_is_completed(store, inputs, tmp_path):
    version = inputs.publish(store).version
    prefix = version_prefix("demo", version)
    for name in (MANIFEST, "model.onnx"):
        store.delete(prefix + name)
    store.put_bytes(prefix + "schema.json", b"cut sh")
    inputs.judge(version)
    assert inputs.publish(store) == Published(version, created=True)
    store.get_folder(prefix, tmp_path / "package")
    verify(tmp_path / "package", version=version)


def test_files_that_a_version_has_lost_are_put_back(store, inputs, tmp_path):
    version = inputs.publish(store).version
    prefix = version_prefix("demo", version)
    before = etags(store, prefix)
    store.delete(prefix + "model.onnx")
    store.put_bytes(prefix + CARD, b"")
    inputs.judge(version)
    assert not inputs.publish(store).created
    assert etags(store, prefix) == before


def test_a_publisher_that_is_killed_leaves_no_version_and_can_be_repeated(store, inputs):
    # A large file gives time to strike: the manifest would come after it.
    (inputs.model / "reference.parquet").write_bytes(os.urandom(48_000_000))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    code = (
        "from pathlib import Path; from components.publish.publish import publish_version; "
        "from components.shared.store import Store; publish_version(Store.connect(), 'demo', "
        f"model=Path({str(inputs.model)!r}), evaluated=Path({str(inputs.evaluated)!r}), "
        f"verdict=Path({str(inputs.verdict)!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as publisher:
        deadline = time.monotonic() + 60
        while not store.list("models/"):
            assert publisher.poll() is None
            assert time.monotonic() < deadline
        publisher.send_signal(signal.SIGKILL)
    assert publisher.returncode == -signal.SIGKILL
    assert not [key for key in etags(store) if key.endswith(MANIFEST)]
    assert inputs.publish(store).created


def test_a_store_that_goes_away_is_told(store, inputs):
    with pytest.raises(StoreError, match="does not exist"):
        inputs.publish(store.for_bucket("there-is-no-such-bucket"))


# What is not to be published


@pytest.mark.parametrize("name", [*TRAINED_FILES, METRICS, CARD])
def test_a_missing_file_is_named_and_nothing_is_stored(store, inputs, name):
    folder = inputs.evaluated if name in (METRICS, CARD) else inputs.model
    (folder / name).unlink()
    with pytest.raises(PackageError, match=rf"The model package needs {name}, and {folder} has none. Run the stage"):
        inputs.publish(store)
    assert etags(store) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "training.json cannot be read as JSON: .* Run the stage that writes it again"),
        ("[]", "training.json holds no JSON object"),
        ("{}", "training.json is not a training record: 'git_commit'"),
        (
            '{"git_commit": "", "libraries": {}, "lineage": {"rows": "many"}}',
            "training.json is not a training record: lineage.rows: Input should be a valid integer",
        ),
    ],
)
def test_a_damaged_training_record_is_refused(store, inputs, content, message):
    (inputs.model / TRAINING).write_text(content)
    with pytest.raises(PackageError, match=message):
        inputs.publish(store)
    assert etags(store) == {}


def test_what_the_gate_holds_back_is_not_published(store, inputs):
    for content in ('{"promoted": false, "champion": null}', "{}", '{"promoted": 1}'):
        inputs.verdict.write_text(content)
        with pytest.raises(PackageError, match="is not to promote this model; nothing was published"):
            inputs.publish(store)
    inputs.verdict.unlink()
    with pytest.raises(PackageError, match="verdict.json cannot be read as JSON"):
        inputs.publish(store)
    inputs.judge(None, candidate="0123456789ab")
    with pytest.raises(PackageError, match="The gate judged version 0123456789ab, and the model is version"):
        inputs.publish(store)
    assert etags(store) == {}
