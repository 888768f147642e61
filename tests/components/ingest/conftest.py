"""Running the stage's logic over real files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.ingest import Window, ingest_table
from components.shared.config import ProblemConfig, SourceConfig
from components.shared.errors import SourceError

Run = Callable[..., pa.Table]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "table.parquet"


@pytest.fixture
def run(output: Path) -> Run:
    """Ingest tables given by path (with settings of the table as keywords) and read the result."""

    def run(
        tables: Mapping[str, Any] | Path | str,
        query: str = "",
        *,
        time_column: str = "",
        window: tuple[str, str] = ("", ""),
        paths: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> pa.Table:
        named = tables if isinstance(tables, Mapping) else {"t": {"path": str(tables), **settings}}
        source = SourceConfig.model_validate({"tables": named, "query": query})
        problem = ProblemConfig(target="y", task="regression", time_column=time_column)
        lineage = ingest_table(source, problem, output, window=Window.parse(*window), paths=paths)
        table = pq.read_table(output)
        return table.replace_schema_metadata({b"lineage": lineage.model_dump_json().encode()})

    return run


@pytest.fixture
def refuses(run: Run, output: Path) -> Callable[..., str]:
    """Expect a SourceError, nothing left behind, and return its message."""

    def refuses(*args: Any, **settings: Any) -> str:
        output.unlink(missing_ok=True)
        with pytest.raises(SourceError) as caught:
            run(*args, **settings)
        assert not output.parent.exists() or not list(output.parent.iterdir())
        print(f"\n» {caught.value}")
        return str(caught.value)

    return refuses


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file below the temporary folder."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
