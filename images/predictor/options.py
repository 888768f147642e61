"""The program's arguments.

KServe starts a server with the arguments that the ServingRuntime lists, the same for all models; what differs from
model to model comes in the environment. Both are checked before a port is opened, since a server that starts with a
wrong setting and fails later is harder to understand than one that says so at once.
"""

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from components.shared.agreed_names import SERVING_SETTINGS, SHADOW_MODEL, SHADOW_URL
from components.shared.config import ServingConfig
from components.shared.errors import in_short

_PREDICTION_URL = re.compile(r"https?://[^/]+/v1/models/[^/]+:predict")


@dataclass(frozen=True)
class Options:
    """The program's arguments."""

    model_name: str
    model_dir: Path
    http_host: str
    http_port: int
    standby_port: int
    grpc_port: int
    workers: int
    drain_seconds: float
    grace_seconds: float
    shadow_url: str
    shadow: str
    settings: ServingConfig


def parse(arguments: list[str] | None) -> Options:
    """Read the arguments; ends the program with code 2 and what is wrong with them when they cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m images.predictor", description="Serves a Fullcircle model package."
    )
    parser.add_argument("--model_name", required=True, help="name of the model in paths")
    parser.add_argument("--model_dir", type=Path, required=True, help="folder of the model package")
    parser.add_argument("--http_port", type=int, default=8080, help="port to answer at (8080)")
    parser.add_argument("--http_host", default="0.0.0.0", help="address to listen at; all of them by default")  # noqa: S104
    parser.add_argument(
        "--standby_port", type=int, default=0,
        help="answer at this port first, and at http_port only after SIGUSR1, beside whoever answers there until then",
    )  # fmt: skip
    parser.add_argument("--grpc_port", type=int, default=0, help="port to answer gRPC at; 0 for none (0)")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer (1)")
    parser.add_argument(
        "--drain_seconds", type=float, default=0.0,
        help="seconds to go on answering, though no longer ready, after SIGTERM (0)",
    )  # fmt: skip
    parser.add_argument("--grace_seconds", type=float, default=20.0, help="most seconds to end after that (20)")
    parser.add_argument(
        "--shadow_url", default=os.environ.get(SHADOW_URL, ""),
        help="V1 prediction URL of a candidate that is sent copies of requests (serving.shadow.percent), "
        f"by default from {SHADOW_URL}",
    )  # fmt: skip
    parser.add_argument(
        "--shadow", default=os.environ.get(SHADOW_MODEL, ""), metavar="MODEL",
        help="of such a candidate, the model it is for: its answers are logged below shadow/MODEL/, without features, "
        f"by default from {SHADOW_MODEL}",
    )  # fmt: skip
    parser.add_argument(
        "--settings", default=os.environ.get(SERVING_SETTINGS, "{}"),
        help=f"the configuration's `serving` section as JSON, by default from {SERVING_SETTINGS}",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    _check(parser, given)
    try:
        settings = ServingConfig.model_validate_json(given.settings)
    except ValidationError as error:
        parser.error(f"--settings: {in_short(error)}")
    return Options(**{**vars(given), "settings": settings})


def _check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if given.workers < 1:
        parser.error(f"--workers: found {given.workers}; expected at least 1")
    for name, lowest in (("http_port", 1), ("standby_port", 0), ("grpc_port", 0)):
        if not lowest <= getattr(given, name) <= 65535:
            parser.error(f"--{name}: found {getattr(given, name)}; expected {lowest} to 65535")
    for name in ("standby_port", "grpc_port"):
        if getattr(given, name) == given.http_port:
            parser.error(f"--{name}: found {given.http_port}, which is --http_port; expected another one")
    if given.shadow_url and not _PREDICTION_URL.fullmatch(given.shadow_url):
        parser.error(f"--shadow_url: found {given.shadow_url!r}; expected such as http://host:8081/v1/models/m:predict")
    for name in ("drain_seconds", "grace_seconds"):
        if not 0 <= getattr(given, name) <= 86_400:
            parser.error(f"--{name}: found {getattr(given, name):g}; expected 0 to 86,400 seconds")
