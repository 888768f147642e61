"""What every Containerfile and the scripts beside it promise."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from components.shared.tracking import DO_NOT_TRACK
from tests.pipelines.command_line import ROOT

IMAGES = ["stage", "predictor", "minio"]
PYTHON_IMAGES = ["stage", "predictor"]


def instructions(image: str) -> list[tuple[str, str]]:
    """Instructions of an image's Containerfile, continued lines joined."""
    text = (ROOT / "images" / image / "Containerfile").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def values(image: str, name: str) -> list[str]:
    return [value for instruction, value in instructions(image) if instruction == name]


def last_stage(image: str) -> list[tuple[str, str]]:
    found = instructions(image)
    start = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


@pytest.mark.parametrize("image", IMAGES)
def test_bases_are_build_arguments_with_pinned_defaults(image):
    arguments = dict(value.split("=", 1) for value in values(image, "ARG") if "_IMAGE=" in value)
    stages = [value.rpartition(" AS ")[2] for value in values(image, "FROM") if " AS " in value]

    for base in (value.split()[0] for value in values(image, "FROM")):
        assert base in (*stages, "scratch") or base.strip("${}") in arguments, base
    for default in arguments.values():
        assert re.fullmatch(r"docker\.io/library/(python:3\.11-slim|golang:1\.26-bookworm)", default)


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_is_called_latest(image):
    assert not re.search(r"latest", (ROOT / "images" / image / "Containerfile").read_text())


@pytest.mark.parametrize("image", IMAGES)
def test_it_runs_as_a_numeric_user_that_is_not_root(image):
    assert [value for name, value in last_stage(image) if name == "USER"] == ["1000:1000"]


@pytest.mark.parametrize("image", IMAGES)
def test_it_is_labelled_and_lists_what_it_holds(image):
    labels = " ".join(value for name, value in last_stage(image) if name == "LABEL")

    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert 'revision="${COMMIT}"' in labels
    assert any("packages.py sbom" in value for value in values(image, "RUN"))


@pytest.mark.parametrize("image", IMAGES)
def test_its_home_is_the_one_folder_that_is_written_to(image):
    environment = " ".join(value for name, value in last_stage(image) if name == "ENV")

    assert "HOME=/tmp" in environment
    if image in PYTHON_IMAGES:
        assert "PYTHONDONTWRITEBYTECODE=1" in environment


@pytest.mark.parametrize("image", PYTHON_IMAGES)
def test_packages_are_installed_by_hash_alone(image):
    installs = [command for run in values(image, "RUN") for command in run.split("&&") if " install " in command]

    assert installs
    for command in installs:
        assert "--require-hashes --no-deps -r" in " ".join(command.split())


@pytest.mark.parametrize("image", IMAGES)
def test_what_builds_stays_behind(image):
    final = [(name, value) for name, value in last_stage(image) if name in ("RUN", "COPY", "ADD")]

    assert final
    assert all(name == "COPY" and value.startswith("--from=") for name, value in final)


def test_the_two_names_of_the_ignore_file_are_one_file():
    assert (ROOT / ".dockerignore").samefile(ROOT / ".containerignore")
    assert "*" in (ROOT / ".containerignore").read_text().splitlines()


# The scripts


def tree(folder: Path) -> Path:
    """A checkout of its own with the scripts and a commit."""
    (folder / "images").mkdir(parents=True)
    for name in ("tag", "build"):
        shutil.copy2(ROOT / "images" / name, folder / "images" / name)
    for name in IMAGES:
        (folder / "images" / name).mkdir()
        (folder / "images" / name / "Containerfile").write_text("FROM scratch\n")
    (folder / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "first")
    return folder


def git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def script(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "TAG", "REGISTRY"))
    }
    return subprocess.run(
        [folder / "images" / arguments[0], *arguments[1:]],
        env={**environment, **extra}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_tag_is_the_commit_and_of_a_changed_tree_one_of_its_own(tmp_path):
    folder = tree(tmp_path / "tree")
    commit = git(folder, "rev-parse", "--short=12", "HEAD")
    assert script(folder, "tag").stdout.strip() == commit

    tags = {commit}
    for content in ("a", "b"):
        (folder / "new.txt").write_text(content)
        tags.add(script(folder, "tag").stdout.strip())
    (folder / "pyproject.toml").write_text("changed\n")
    tags.add(script(folder, "tag").stdout.strip())

    assert len(tags) == 4
    assert script(folder, "tag").stdout.strip() in tags
    assert all(tag.startswith(f"{commit}-dirty-") for tag in tags - {commit})


def test_a_tag_that_moves_or_is_none_is_refused(tmp_path):
    for tag in ("latest", "a b", "-x"):
        done = script(ROOT, "tag", tag)
        assert done.returncode == 1
        assert f"TAG={tag}" in done.stderr
    assert script(ROOT, "tag", "v1.2").stdout == "v1.2\n"


def test_without_git_a_tag_has_to_be_said(tmp_path):
    (tmp_path / "images").mkdir()
    shutil.copy2(ROOT / "images" / "tag", tmp_path / "images" / "tag")

    done = script(tmp_path, "tag", GIT_CEILING_DIRECTORIES=str(tmp_path.parent))

    assert done.returncode == 1
    assert "TAG=…" in done.stderr


@pytest.mark.parametrize("builder", ["buildah", "podman", "docker"])
def test_the_build_names_image_version_and_commit(builder, tmp_path):
    folder = tree(tmp_path / "tree")

    done = script(
        folder, "build", "--print", "stage", "minio",
        BUILDER=builder, REGISTRY="registry.example/team", TAG="v1",
        GO_IMAGE="mirror.example/golang:1", BUILD_OPTIONS="--network host",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    stage, minio = done.stdout.splitlines()
    assert stage.startswith(f"{builder} build ")
    assert "--network host" in stage
    assert "--file images/stage/Containerfile --tag registry.example/team/stage:v1 ." in stage
    assert "--tag registry.example/team/minio:v1 ." in minio
    assert f"COMMIT={git(folder, 'rev-parse', 'HEAD')}" in stage
    assert "VERSION=1.2.3" in stage
    assert "GO_IMAGE=mirror.example/golang:1" in stage


def test_a_build_that_takes_long_says_that_it_goes_on(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "podman").write_text("#!/bin/sh\nsleep 2.5\n")
    (tools / "podman").chmod(0o755)

    done = script(
        tree(tmp_path / "tree"), "build", "stage", BUILDER=str(tools / "podman"), TAG="v1", PROGRESS_SECONDS="1"
    )

    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[:3] == [
        "== localhost/fullcircle/stage:v1",
        "   stage: 1 s, still building",
        "   stage: 2 s, still building",
    ]
    assert lines[-1].startswith("== localhost/fullcircle/stage:v1: done in ")
    assert len(lines) == 4


def test_where_nothing_builds_images_that_is_said(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "git", "sed", "dirname", "basename", "env"):
        (tools / name).symlink_to(Path(shutil.which(name) or name).resolve())

    done = script(tree(tmp_path / "tree"), "build", "--print", PATH=str(tools), TAG="v1")

    assert done.returncode == 1
    assert "buildah, podman or docker is needed" in done.stderr


def test_an_unknown_image_is_refused(tmp_path):
    done = script(tree(tmp_path / "tree"), "build", "--print", "stages", BUILDER="podman", TAG="v1")

    assert done.returncode == 1
    assert "stages: there is no such image" in done.stderr


def test_libraries_are_told_not_to_tell_how_they_are_used_and_that_other_pods_use_the_cores_too():
    (environment,) = [value for name, value in last_stage("stage") if name == "ENV"]
    given = dict(part.split("=", 1) for part in environment.split())
    assert DO_NOT_TRACK.items() <= given.items()
    assert given["OMP_WAIT_POLICY"] == "PASSIVE"
