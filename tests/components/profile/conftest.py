"""Splits as prepare writes them, of small tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.frames import PARTS, part_path
from components.shared.package.schema import Schema


@pytest.fixture
def splits(tmp_path: Path) -> Callable[..., Path]:
    """Cuts a table in three parts and writes it with a schema that has the given features (name to kind)."""

    def call(data: dict[str, Any], features: dict[str, str], **schema: Any) -> Path:
        folder = tmp_path / "splits"
        folder.mkdir()
        table = pa.table(data)
        cuts = [0, len(table) // 2, len(table) * 3 // 4, len(table)]
        for part, start, end in zip(PARTS, cuts[:-1], cuts[1:], strict=True):
            pq.write_table(table.slice(start, end - start), part_path(folder, part))
        listed = [{"name": name, "kind": kind, "nullable": True} for name, kind in features.items()]
        Schema.model_validate({"task": "binary", "target": "y", "features": listed, **schema}).write(folder)
        return folder

    return call
