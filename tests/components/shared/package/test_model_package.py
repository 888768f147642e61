import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import PackageError
from components.shared.files import file_hash
from components.shared.package.model_package import (
    FILES,
    GOLDEN,
    MANIFEST,
    read_golden,
    verify,
    version_of,
    version_prefix,
)
from tests.helpers import make_manifest


@pytest.fixture
def package(packages: Callable[[], Path], tmp_path: Path) -> Path:
    return shutil.copytree(packages(), tmp_path / "package")


def edit_manifest(package: Path, **changes: Any) -> None:
    manifest = json.loads((package / MANIFEST).read_bytes())
    (package / MANIFEST).write_text(json.dumps(manifest | changes))


def test_a_complete_package_is_accepted(package):
    manifest = verify(package)
    assert set(manifest.files) == FILES
    assert manifest.name == "demo"
    assert manifest.lineage.rows == 600
    assert verify(package, version=manifest.version) == manifest


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_byte_is_noticed(package, name):
    content = bytearray((package / name).read_bytes())
    content[len(content) // 2] ^= 1
    (package / name).write_bytes(content)
    with pytest.raises(PackageError, match=rf"{name} is not the file the manifest lists: its SHA-256 differs"):
        verify(package)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_truncated_file_is_noticed(package, name):
    content = (package / name).read_bytes()
    (package / name).write_bytes(content[:-1])
    with pytest.raises(PackageError, match=rf"{name} is not the file the manifest lists"):
        verify(package)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named(package, name):
    (package / name).unlink()
    with pytest.raises(PackageError, match=rf"incomplete: {name} missing. Publish the model again"):
        verify(package)


@pytest.mark.parametrize("name", ["model.pkl", "sub/model.joblib", ".hidden"])
def test_a_file_that_is_not_listed_is_refused(package, name):
    """Reading a package executes nothing, but what is dropped into it might be read by others."""
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(PackageError, match=rf"holds {name}, which its manifest does not list; it is refused"):
        verify(package)


def test_a_listed_file_of_another_set_is_refused(package):
    files = json.loads((package / MANIFEST).read_bytes())["files"]
    (package / "model.pkl").write_bytes(b"")
    edit_manifest(package, files=files | {"model.pkl": file_hash(package / "model.pkl")})
    with pytest.raises(PackageError, match=r"lists card.html, .*model.pkl.*; a package holds card.html"):
        verify(package)


def test_the_manifest_of_another_package_is_refused(package, packages):
    shutil.copyfile(packages("regression") / MANIFEST, package / MANIFEST)
    with pytest.raises(PackageError, match="is not the file the manifest lists"):
        verify(package)


def test_a_manifest_that_claims_another_version_is_refused(package):
    version = verify(package).version
    edit_manifest(package, version="0123456789ab")
    with pytest.raises(PackageError, match=f"says version 0123456789ab; its files are version {version}"):
        verify(package)


def test_a_package_of_another_version_is_not_the_one_asked_for(package):
    with pytest.raises(PackageError, match=r"holds version [0-9a-f]{12}, expected version 0123456789ab"):
        verify(package, version="0123456789ab")


@pytest.mark.parametrize("format", ["fullcircle/2", "", None, 1])
def test_a_package_of_another_format_is_refused(package, format):
    edit_manifest(package, format=format)
    with pytest.raises(PackageError, match=rf"is a package of format {format!r}; this program reads 'fullcircle/1'"):
        verify(package)


def test_a_folder_without_a_manifest_is_no_package(package):
    (package / MANIFEST).unlink()
    with pytest.raises(
        PackageError, match=r"has no manifest.json: it is no model package, or one whose upload did not"
    ):
        verify(package)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[]", "is a package of format None"),
        ('{"format": "fullcircle/1"}', r"does not follow format 'fullcircle/1': name: Field required; .*; …\."),
    ],
)
def test_a_damaged_manifest_is_told(package, content, message):
    (package / MANIFEST).write_text(content)
    with pytest.raises(PackageError, match=message):
        verify(package)


def test_a_manifest_appears_at_once(package):
    make_manifest(package)
    assert not list(package.glob(".*"))


def test_a_version_is_its_files():
    files = {"a": "1", "b": "2"}
    assert version_of(files) == version_of(dict(reversed(files.items())))
    assert len(version_of(files)) == 12
    others = ({"a": "2", "b": "1"}, {"a": "1"}, {"a": "1", "c": "2"})
    assert version_of(files) not in [version_of(other) for other in others]


def test_golden_requests_are_read(package):
    golden = read_golden(package)
    assert len(golden) == 5
    assert set(golden[0].row) == {"amount", "visits", "member", "colour", "opened at"}
    assert set(golden[0].answer) == {"label", "probabilities"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no golden requests that can be read"),
        ("{}", "holds no golden requests that can be read"),
        ('[{"row": {}}]', "holds no golden requests that can be read"),
        ("[]", "is empty: a version has to be proven by at least one request"),
    ],
)
def test_golden_requests_that_prove_nothing_are_refused(package, content, message):
    (package / GOLDEN).write_text(content)
    with pytest.raises(PackageError, match=message):
        read_golden(package)


def test_keys_of_a_version_are_those_of_no_other():
    assert version_prefix("demo", "v1") == "models/demo/versions/v1/"
    assert not version_prefix("demo", "v10").startswith(version_prefix("demo", "v1"))
