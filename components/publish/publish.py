"""Publishing: an immutable version in the object store. What makes it the champion is deploy, once it has served.

A version is named by the content of its files, so publishing again is harmless, and nothing is ever overwritten:
whoever remembers a version gets exactly that. A verdict that names another version is refused, or a package that was
changed after the gate would be published on the word of another one. Serving is left to deploy: a version that is
stored has proven nothing yet.
"""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.shared.config import EvaluationConfig, GateConfig, ServingConfig
from components.shared.errors import PackageError, in_short
from components.shared.files import file_hash
from components.shared.kubernetes.api import in_pod, pod_namespace
from components.shared.package.model_package import (
    CARD,
    FILES,
    FORMAT,
    METRICS,
    TRAINED_FILES,
    TRAINING,
    Manifest,
    verify,
    version_of,
    write_manifest,
)
from components.shared.registry.history import this_run
from components.shared.registry.judgement import Judgement, read_json
from components.shared.registry.pending import PendingVersions, Terms
from components.shared.registry.registry import Registry
from components.shared.store import Store


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did.

    Attributes:
        version: The version's id.
        created: Whether the version is new; the same inputs published again are the version that is there already.
    """

    version: str
    created: bool

    @property
    def message(self) -> str:
        """One line for people."""
        return f"version {self.version} {'stored' if self.created else 'was stored already'}"


def publish_version(store: Store, name: str, *, model: Path, evaluated: Path, verdict: Path) -> Published:
    """Store a model package as a version; the champion stays what it is.

    An upload that was cut off is completed by publishing again: the same files are the same version.

    Args:
        store: The object store.
        name: Name of the model.
        model: Folder with the files that training wrote.
        evaluated: Folder with `metrics.json` and `card.html`.
        verdict: The gate's verdict, JSON.

    Raises:
        PackageError: A file of the package is missing or not as training writes it, or the verdict is not to promote
            this model.
        StoreError: The object store cannot be reached or refuses.
    """
    with tempfile.TemporaryDirectory(prefix="fullcircle-package-") as temporary:
        package = Path(temporary, "package")
        manifest = assemble(package, name, model=model, evaluated=evaluated)
        Judgement.read(verdict, manifest.version)
        created = Registry(store, name).publish(package, manifest)
    return Published(manifest.version, created=created)


def read_terms(serving: str, gate: str, evaluation: str, *, namespace: str) -> Terms:
    """How a version that waits is decided about and served.

    Args:
        serving: Section `serving` of the configuration, JSON.
        gate: Section `gate`, JSON, with the metric that is compared.
        evaluation: Section `evaluation`, JSON.
        namespace: Of the endpoint on a cluster; empty for that of this pod.
    """
    return Terms(
        serving=ServingConfig.model_validate_json(serving),
        gate=GateConfig.model_validate_json(gate),
        evaluation=EvaluationConfig.model_validate_json(evaluation),
        namespace=namespace or (pod_namespace() if in_pod() else ""),
    )


def wait_for_approval(store: Store, name: str, version: str, terms: Terms, *, verdict: Path) -> str:
    """Let a version wait until a person, or the newest labelled requests, decide about it.

    Args:
        store: The object store.
        name: Name of the model.
        version: A version that is stored.
        terms: How it is to be served, and by what it is decided about.
        verdict: The gate's verdict, JSON.

    Returns:
        One line for people: what to do, or that it was rejected before.

    Raises:
        PackageError: The verdict is not to promote this version.
        StoreError: The object store cannot be reached or refuses.
    """
    judged = Judgement.read(verdict, version)
    pending = PendingVersions(store, name).add(version, judged, terms, run=this_run())
    if pending.answer:
        return f"version {version} is not deployed: it was {pending.in_words}"
    if terms.gate.approval == "live":
        return (
            f"version {version} {pending.in_words}: `make watch` deploys it when they show that it is no worse than the"
            f" champion, and rejects it when it is worse"
        )
    return (
        f"version {version} waits for approval: `make approve MODEL={name} VERSION={version}` deploys it, "
        f"`make reject MODEL={name} VERSION={version} WHY=…` does not"
    )


def assemble(package: Path, name: str, *, model: Path, evaluated: Path) -> Manifest:
    """Put a package together in a new folder, manifest last.

    Raises:
        PackageError: A file is missing or not as training writes it.
    """
    package.mkdir(parents=True)
    origins = {**dict.fromkeys(TRAINED_FILES, model), METRICS: evaluated, CARD: evaluated}
    for file, folder in origins.items():
        try:
            shutil.copyfile(folder / file, package / file)
        except FileNotFoundError as error:
            raise PackageError(
                f"The model package needs {file}, and {folder} has none. Run the stage that writes it again."
            ) from error
    training = read_json(package / TRAINING)
    files = {file: file_hash(package / file) for file in sorted(FILES)}
    try:
        manifest = Manifest(
            format=FORMAT,
            name=name,
            version=version_of(files),
            created=_now(),
            git_commit=training["git_commit"],
            libraries=training["libraries"],
            lineage=training["lineage"],
            files=files,
        )
    except (KeyError, ValueError) as error:
        raise PackageError(
            f"{model / TRAINING} is not a training record: {in_short(error)}. Run the training again."
        ) from error
    write_manifest(package, manifest)
    return verify(package)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
