"""The shell scripts of the project."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = (".ci", "images", "manifests")
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "fullcircle", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")))
    if path.is_file() and path.read_bytes()[:2] == b"#!" and b"sh" in path.read_bytes().partition(b"\n")[0]
)


def test_there_are_scripts():
    assert Path(".ci/run") in SCRIPTS
    assert Path("manifests/kind/up") in SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_shellcheck_finds_nothing(script):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not on PATH")
    subprocess.run(["shellcheck", script], cwd=ROOT, check=True)
