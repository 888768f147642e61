"""What both of KServe's servers need: the columns of a model package, times as seconds, and a server without frills."""

import argparse
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kserve
import numpy as np

NAME = "flights"
MISSING_TIME = np.iinfo(np.int64).min


def column_names(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Names of the columns by tensor: numbers, categories, times."""
    features = json.loads((folder / "schema.json").read_bytes())["features"]
    columns: dict[str, list[str]] = {"number": [], "category": [], "timestamp": []}
    for feature in features:
        columns[feature["kind"] if feature["kind"] in columns else "number"].append(feature["name"])
    return columns["number"], columns["category"], columns["timestamp"]


def seconds(moment: str | None) -> int:
    """Seconds since 1970 of a time without a zone."""
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) if moment else MISSING_TIME


def serve(load: Callable[[str, Path], Any]) -> None:
    """Serve a model until SIGTERM: one worker, no access log, no latency log, no gRPC.

    Args:
        load: Gives the model, a `kserve.Model`, of a name and a folder.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    model = load(NAME, options.model_dir)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    server = kserve.ModelServer(http_port=options.port, workers=1, enable_grpc=False, enable_latency_logging=False)
    server.start([model])
