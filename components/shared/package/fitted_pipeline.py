"""The fitted scikit-learn pipeline as a file that contains no code: `model.skops`.

skops writes a pipeline as JSON and arrays, and loads only types that are named as trusted. What is trusted here is
this list and nothing else. The same pipeline gives the same bytes: skops names arrays by where they lie in memory and
stamps them with the time, so both are replaced.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline

from components.shared.errors import PackageError
from components.shared.families import FAMILIES

TRUSTED_TYPES = (
    "components.shared.calibration.CalibratedModel",
    "components.shared.calibration.IsotonicCalibrator",
    "components.shared.calibration.SigmoidCalibrator",
    "components.shared.dates.DateParts",
    "components.shared.preprocessing.Float32Scaler",
    "components.shared.preprocessing.MissingValues",
    "components.shared.preprocessing.QuantileClipper",
    "components.shared.preprocessing.TargetMeans",
    "sklearn.model_selection._split.KFold",
    *sorted({kind for family in FAMILIES.values() for kind in family.trusted}),
)
_CONTENT = "schema.json"  # skops's own description of the object, beside the arrays
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment a zip file can name


def dump_pipeline(pipeline: Pipeline, path: Path) -> None:
    """Write a fitted pipeline."""
    import skops.io

    path.write_bytes(_normalised(skops.io.dumps(pipeline)))


def load_pipeline(path: Path) -> Pipeline:
    """Read a pipeline that `dump_pipeline` wrote.

    Raises:
        PackageError: The file is missing, is no such file, or contains a type that is not trusted.
    """
    import skops.io

    try:
        content = path.read_bytes()
        unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES))
        if unknown:
            raise PackageError(f"{path} holds {', '.join(unknown)}, which this program does not trust; it is refused.")
        pipeline = skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    except FileNotFoundError as error:
        raise PackageError(f"{path} is missing: the model package is incomplete. Run the train stage again.") from error
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackageError(f"{path} is no readable skops file: {error}. Run the train stage again.") from error
    if not isinstance(pipeline, Pipeline):
        raise PackageError(f"{path} holds a {type(pipeline).__name__}; expected a fitted Pipeline of scikit-learn.")
    return pipeline


def _normalised(archive: bytes) -> bytes:
    """The archive with running numbers for memory addresses and without times."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        content = json.loads(source.read(_CONTENT))
        numbers: dict[str, int] = {}
        _renumber(content, numbers)
        files = {_renamed(name, numbers): source.read(name) for name in source.namelist() if name != _CONTENT}
    files[_CONTENT] = json.dumps(content).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as result:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            result.writestr(entry, files[name], compresslevel=1)
    return target.getvalue()


def _renumber(node: Any, numbers: dict[str, int]) -> None:
    """Replace addresses in `__id__` and `file`, in the order in which they are met."""
    if isinstance(node, list):
        for item in node:
            _renumber(item, numbers)
    elif isinstance(node, dict):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(str(node["__id__"]), len(numbers))
        if isinstance(node.get("file"), str):
            numbers.setdefault(node["file"].partition(".")[0], len(numbers))
            node["file"] = _renamed(node["file"], numbers)
        for value in node.values():
            _renumber(value, numbers)


def _renamed(file: str, numbers: dict[str, int]) -> str:
    address, dot, ending = file.partition(".")
    return f"{numbers.setdefault(address, len(numbers))}{dot}{ending}"
