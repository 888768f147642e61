"""Calibrators as ONNX operations.

What is served has to answer as the calibrated model of scikit-learn does, and a server has nothing but the graph. So
each calibrator of `shared` has its counterpart here in a few operations that run on whole columns; the curve of the
isotonic one is written without a search, because ONNX has none.
"""

import numpy as np

from components.shared.calibration import SMALLEST, Calibrator, IsotonicCalibrator
from components.train.graph import Graph


def add_calibrator(graph: Graph, calibrator: Calibrator, tensor: str, output: str) -> None:
    """Add a fitted calibrator between the model's probabilities and the output, both of shape (rows, classes)."""
    if isinstance(calibrator, IsotonicCalibrator):
        _add_curve(graph, calibrator, tensor, output)
        return
    low = graph.constant("calibration/smallest", np.array(SMALLEST, dtype=np.float32))
    slope = graph.constant("calibration/slope", np.array(calibrator.slope_, dtype=np.float32))
    offsets = graph.constant("calibration/offsets", calibrator.offsets_)
    logarithms = graph.add("Log", [graph.add("Max", [tensor, low], "calibration/clipped")], "calibration/logarithms")
    scaled = graph.add("Mul", [logarithms, slope], "calibration/scaled")
    graph.add("Softmax", [graph.add("Add", [scaled, offsets], "calibration/shifted")], output, axis=-1)


# Example: the curve goes through (0, 0.1), (0.5, 0.2) and (1, 0.8), so its slopes are 0.2 and 1.2. At 0.75 it has risen
# along 0.5 of the first stretch and 0.25 of the second: 0.1 + 0.5 * 0.2 + 0.25 * 1.2 = 0.5. The other class is 0.9 -
# 0.4 = 0.5.
def _add_curve(graph: Graph, calibrator: IsotonicCalibrator, tensor: str, output: str) -> None:
    """The piecewise linear curve as a sum of ramps: each rises by its slope within its own stretch.

    Written as one product with a matrix whose two columns are the slopes and their negatives, it gives both classes.
    """
    x, y = calibrator.x_.astype(np.float64), calibrator.y_.astype(np.float64)
    slopes = np.diff(y) / np.diff(x)
    second = graph.constant("calibration/second", np.array([1], dtype=np.int64))
    positive = graph.add("Gather", [tensor, second], "calibration/positive", axis=1)
    starts = graph.constant("calibration/starts", calibrator.x_[:-1])
    widths = graph.constant("calibration/widths", np.diff(x).astype(np.float32))
    zero = graph.constant("calibration/zero", np.array(0, dtype=np.float32))
    beyond = graph.add("Max", [graph.add("Sub", [positive, starts], "calibration/past"), zero], "calibration/beyond")
    ramps = graph.add("Min", [beyond, widths], "calibration/ramps")
    matrix = graph.constant("calibration/slopes", np.column_stack([-slopes, slopes]).astype(np.float32))
    ends = graph.constant("calibration/ends", np.array([1 - y[0], y[0]], dtype=np.float32))
    graph.add("Add", [graph.add("MatMul", [ramps, matrix], "calibration/risen"), ends], output)
