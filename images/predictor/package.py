"""Loading a model package for serving: nothing of it is believed before it is proven.

A package comes over the network from a store that others may write to. Its hashes say that it is what was published,
the golden requests that this machine's runtime answers as training did; it holds no pickle, so loading it executes
nothing. A server that cannot prove this does not become ready, and the version before goes on.
"""

import json
import math
from pathlib import Path

from components.shared.errors import InputError, PackageError, in_short
from components.shared.package.golden import differences
from components.shared.package.model_package import (
    REFERENCE_STATISTICS,
    GoldenRequest,
    Manifest,
    read_golden,
    verify,
)
from components.shared.package.scoring import Scorer, parse_rows


def load_package(folder: Path) -> tuple[Scorer, Manifest]:
    """Check a package, load its model and replay its golden requests. No code of the package is executed.

    Raises:
        PackageError: The package is altered, incomplete, of another format, or answers wrongly.
    """
    manifest = verify(folder)
    scorer = Scorer.load(folder, version=manifest.version)
    golden = read_golden(folder)
    if wrong := _wrong_answers(scorer, golden):
        raise PackageError(
            f"Version {manifest.version} answers {len(wrong)} of {len(golden)} golden requests wrongly: {wrong[0]}."
        )
    return scorer, manifest


def prediction_quantiles(folder: Path) -> tuple[float, ...]:
    """Quantiles of the predictions in the reference window of a regression, in order and each once.

    Raises:
        PackageError: The package does not tell them.
    """
    path = folder / REFERENCE_STATISTICS
    try:
        columns = json.loads(path.read_bytes())["columns"]
        *_, prediction = columns.values()  # the last column of the reference window
        quantiles = {float(value) for value in prediction["quantiles"].values()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise PackageError(f"{path} tells no quantiles of the predictions: {in_short(error)}.") from error
    if not all(map(math.isfinite, quantiles)):
        raise PackageError(f"{path} tells quantiles of the predictions that are no finite numbers.")
    return tuple(sorted(quantiles))


def _wrong_answers(scorer: Scorer, golden: list[GoldenRequest]) -> list[str]:
    try:
        inputs = parse_rows([request.row for request in golden], scorer.schema)
    except InputError as error:
        raise PackageError(f"The golden requests of version {scorer.version} do not fit its schema: {error}") from error
    try:
        return differences(golden, scorer.answers(scorer.score(inputs)))
    except Exception as error:  # onnxruntime's errors have no base class of their own
        raise PackageError(
            f"The model of version {scorer.version} cannot answer its golden requests: {in_short(error)}."
        ) from error
