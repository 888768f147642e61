"""A store with a version of a small model, and tables as ingest writes them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.predict.predict import predict_table
from components.predict.result import SUMMARY, Summary
from components.shared.config import TaskName
from components.shared.package.model_package import verify, version_prefix
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.helpers import LINEAGE, make_table, put_folder

NAME = "demo"


@dataclass
class Site:
    """An object store with a champion, and a folder to work in."""

    store: Store
    folder: Path
    package: Path
    version: str

    def write(self, table: pa.Table, *, rows_a_group: int = 100_000) -> Path:
        path = self.folder / "table"
        pq.write_table(table, path, row_group_size=rows_a_group)
        return path

    def predict(self, table: pa.Table, *, rows_a_group: int = 100_000, **options: Any) -> Summary:
        path = self.write(table, rows_a_group=rows_a_group)
        return predict_table(self.store, NAME, path, lineage=LINEAGE, **options)

    def read(self, summary: Summary) -> pa.Table:
        """All predictions, in the order of the parts."""
        prefix = summary.place.removeprefix(self.store.uri(""))
        return pa.concat_tables([self._table(f"{prefix}{part}") for part in summary.parts])

    def rejected(self, summary: Summary) -> list[dict[str, Any]]:
        prefix = summary.place.removeprefix(self.store.uri(""))
        rows: list[dict[str, Any]] = self._table(f"{prefix}rejected.parquet").to_pylist()
        return rows

    def stored(self, summary: Summary) -> Any:
        return json.loads(self.store.get_bytes(summary.place.removeprefix(self.store.uri("")) + SUMMARY))

    def keys(self) -> list[str]:
        return [item.key for item in self.store.list() if not item.key.startswith("models/")]

    def _table(self, key: str) -> pa.Table:
        return pq.read_table(pa.BufferReader(self.store.get_bytes(key)))


@pytest.fixture
def publish(store, packages, tmp_path) -> Callable[..., Site]:
    """Store a version for a task and make it the champion."""

    def publish(task: TaskName = "binary", *, champion: bool = True) -> Site:
        package = packages(task)
        version = verify(package).version
        put_folder(store, version_prefix(NAME, version), package)
        if champion:
            Registry(store, NAME).promote(version, expected=None)
        return Site(store, tmp_path, package, version)

    return publish


@pytest.fixture
def site(publish: Callable[..., Site]) -> Site:
    return publish()


@pytest.fixture
def table() -> pa.Table:
    """Fifty rows that all fit; `visits` is never missing."""
    return make_table(rows=50)
