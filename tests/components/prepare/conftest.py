"""Preparing small tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.components.prepare.helpers import Prepared, run


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Prepared]:
    """Prepares a table given as columns, with parts of the `problem` and `prepare` sections."""

    def call(
        data: pa.Table | dict[str, Any],
        problem: dict[str, Any] | None = None,
        *,
        contract: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Prepared:
        return run(tmp_path, data, problem or {}, settings, contract)

    return call
