"""A published model opened by a person: its package, verified, and the pipeline that the served graph was made of.

For a notebook, where coefficients, trees or a partial dependence are of interest, and for an audit. The pipeline is
scikit-learn's, and its file holds no pickle: types that this project does not know are refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.shared.package.model_package import MANIFEST, SKOPS, Manifest, verify

if TYPE_CHECKING:
    from components.shared.registry.registry import Registry


@dataclass(frozen=True)
class OpenedModel:
    """A version of a model on this machine.

    Attributes:
        folder: Of its package.
        manifest: What the package holds.
        pipeline: The fitted `sklearn.pipeline.Pipeline`; it takes a frame with the columns of the schema.
    """

    folder: Path
    manifest: Manifest
    pipeline: Any

    @property
    def lines(self) -> str:
        """Python that gives the pipeline in a notebook, run from the project's folder."""
        return (
            "from pathlib import Path\n"
            "from components.shared.package.fitted_pipeline import load_pipeline\n"
            f"pipeline = load_pipeline(Path({str(self.folder / SKOPS)!r}))"
        )


def open_model(registry: "Registry", version: str, models: Path) -> OpenedModel:
    """Bring a version here, unless it is, and load its pipeline.

    Args:
        registry: Of the model.
        version: Its name; the champion's when it is empty.
        models: The version's folder is made below it, as `<model>/<version>`.

    Raises:
        PackageError: There is no such version, it is altered, or its pipeline holds what is not trusted.
        StoreError: The object store cannot be reached.
    """
    from components.shared.package.fitted_pipeline import load_pipeline

    version = version or registry.champion_version()
    folder = models / registry.name / version
    here = (folder / MANIFEST).exists()
    manifest = verify(folder, version=version) if here else registry.fetch(version, folder)
    return OpenedModel(folder, manifest, load_pipeline(folder / SKOPS))
