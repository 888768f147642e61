"""What is known of the versions that answered: their columns, their reference, and how much they use each feature.

During a rollout, or after a rollback, several versions answer within one window. Each has its own columns, reference
and settings, so rows are only ever judged by the version that answered them. Packages are fetched when they are first
needed and verified, because what is said about a model must not rest on an altered one.
"""

import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from components.monitor.reference import Reference, kept_reference
from components.monitor.windows import Window, reference_window
from components.shared.config import MonitoringConfig
from components.shared.package.model_package import MANIFEST, verify, version_prefix
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.registry.monitoring import read_settings
from components.shared.store import Store


@dataclass(frozen=True)
class Version:
    """A version of a model, as its package says.

    Attributes:
        store: The object store.
        model: Name of the model.
        name: The version.
        package: Folder of the package.
        settings: How it is watched.
    """

    store: Store
    model: str
    name: str
    package: Path
    settings: MonitoringConfig

    @cached_property
    def scorer(self) -> Scorer:
        """The model."""
        return Scorer.load(self.package, version=self.name)

    @property
    def schema(self) -> Schema:
        """Its columns and classes."""
        return self.scorer.schema

    @cached_property
    def reference(self) -> Reference:
        """Statistics of the reference, rows that the model had not seen, and how much it uses each feature."""
        return kept_reference(self.store, self.model, self.package, self.scorer)

    @cached_property
    def reference_window(self) -> Window:
        """Rows of the reference, for pages."""
        return reference_window(self.package, self.settings, scorer=self.scorer)


class Versions(AbstractContextManager["Versions"]):
    """The versions of a model, each brought here when it is first asked for.

    Args:
        store: The object store.
        model: Name of the model.
        override: Fields of `monitoring` that go before each version's own.
    """

    def __init__(self, store: Store, model: str, override: MonitoringConfig | None = None) -> None:
        self._store = store
        self._model = model
        self._override = override or MonitoringConfig()
        self._folder = tempfile.TemporaryDirectory(prefix="fullcircle-versions-")
        self._known: dict[str, Version | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def settings(self, version: str) -> MonitoringConfig:
        """How a version is watched.

        Raises:
            PackageError: What was kept cannot be read.
        """
        return read_settings(self._store, self._model, version).overridden(self._override)

    def find(self, version: str) -> Version | None:
        """A version; None when the store has none of that name.

        Raises:
            PackageError: Its package is altered or incomplete.
            StoreError: The object store cannot be reached or refuses.
        """
        if version not in self._known:
            self._known[version] = self._fetched(version)
        return self._known[version]

    def _fetched(self, version: str) -> Version | None:
        prefix = version_prefix(self._model, version)
        if not version or "/" in version or not self._store.exists(prefix + MANIFEST):
            return None
        package = Path(self._folder.name, version)
        self._store.get_folder(prefix, package)
        verify(package, version=version)
        return Version(self._store, self._model, version, package, self.settings(version))
