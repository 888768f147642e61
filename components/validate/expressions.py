"""Ibis on top of the table engine: the contract's rules are expressions, as pandera takes them."""

import contextlib
import warnings
from collections.abc import Iterator

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from components.shared.tables import Engine


def expressions(engine: Engine) -> Backend:
    """Ibis over the engine's connection."""
    return ibis.duckdb.from_connection(engine.con)


def relation(backend: Backend, name: str) -> ir.Table:
    """A table or view of the engine as an expression; nothing is read yet."""
    with _quiet():
        return backend.table(name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep quiet that ibis asks DuckDB for a schema by a method DuckDB has renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fetch_arrow_table", category=DeprecationWarning)
        yield
