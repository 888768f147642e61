"""What kube-score and checkov find is what `manifests/exceptions.md` explains, neither more nor less."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.manifests.rendering import MANIFESTS, OVERLAYS, build, overlay


def checker(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH")
    return found


def explained(name: str) -> set[str]:
    """Checks of a checker that the table lists."""
    text = (MANIFESTS / "exceptions.md").read_text(encoding="utf-8")
    return set(re.findall(rf"^\| {name} \| `([^`]+)` \|", text, re.MULTILINE))


def rendered(name: str, folder: Path) -> Path:
    """An overlay with the component that no overlay has of itself."""
    components = folder / "components"
    components.mkdir()
    place = os.path.relpath((MANIFESTS / "components" / "monitoring").resolve(), components.resolve())
    images = [{"name": "fullcircle/stage", "newTag": "dev"}]
    kustomization = {
        "namespace": "kubeflow" if name == "kubeflow" else "fullcircle",
        "components": [place],
        "images": images,
    }
    (components / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    path = folder / "rendered.yaml"
    path.write_text(yaml.safe_dump_all([*overlay(name), *build(components)]), encoding="utf-8")
    return path


def output(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ)
    )
    assert done.stdout, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", OVERLAYS)
def test_kube_score(name, tmp_path):
    report = json.loads(output(checker("kube-score"), "score", "--output-format", "json", rendered(name, tmp_path)))
    failed = {
        check["check"]["id"]
        for item in report
        for check in item["checks"]
        if not check["skipped"] and check["grade"] < 7
    }
    assert failed == explained("kube-score")


@pytest.mark.parametrize("name", OVERLAYS)
def test_checkov(name, tmp_path):
    path = rendered(name, tmp_path)
    options = ("--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "-o", "json", "-f")
    failed = json.loads(output(checker("checkov"), *options, path))["results"]["failed_checks"]
    assert {check["check_id"] for check in failed} == explained("checkov")
