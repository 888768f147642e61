"""Loading a model package for serving: nothing of it is believed before it is proven."""

from pathlib import Path

from components.shared.errors import InputError, PackageError
from components.shared.golden import differences
from components.shared.model_package import Manifest, read_golden, refuse_pickles, verify
from components.shared.scoring import Scorer, parse_rows


def load_package(folder: Path) -> tuple[Scorer, Manifest]:
    """Check a package, load its model and replay its golden requests. No code of the package is executed.

    Raises:
        PackageError: The package is altered, incomplete, of another format, holds a pickle, or answers wrongly.
    """
    manifest = verify(folder)
    refuse_pickles(folder)
    scorer = Scorer.load(folder, version=manifest.version)
    golden = read_golden(folder)
    try:
        inputs = parse_rows([request.row for request in golden], scorer.schema)
    except InputError as error:
        raise PackageError(
            f"The golden requests of version {manifest.version} do not fit its schema: {error}"
        ) from error
    if wrong := differences(golden, scorer.answers(scorer.score(inputs))):
        raise PackageError(
            f"Version {manifest.version} answers {len(wrong)} of {len(golden)} golden requests wrongly: {wrong[0]}."
        )
    return scorer, manifest
