"""The fitted model as ONNX operations: converted by skl2onnx, LightGBM by onnxmltools.

The converters are made for many models and leave gaps for ours: skl2onnx forgets which way a forest sends a missing
value, and a binary classifier of trees runs slower than the same trees as a regressor with a sigmoid behind. Both are
mended here, on the converted nodes. `parity` would notice if a converter changed what they are mended by.
"""

import warnings
from typing import Any

import numpy as np
import onnx
from sklearn.base import BaseEstimator

from components.shared.calibration import CalibratedModel
from components.shared.families import family_of
from components.train.calibration_graph import add_calibrator
from components.train.graph import FEATURES, ML, OPSETS, Graph

UNCALIBRATED = "uncalibrated"  # the tensor of the model's own probabilities, where a calibrator follows
_MISSING = "nodes_missing_value_tracks_true"


def add_model(graph: Graph, estimator: BaseEstimator, output: str, *, width: int) -> None:
    """Add the converted model between `features` and the output, and what calibrates it."""
    if isinstance(estimator, CalibratedModel):
        add_model(graph, estimator.estimator, UNCALIBRATED, width=width)
        add_calibrator(graph, estimator.calibrator, UNCALIBRATED, output)
        return
    converted = _convert(family_of(estimator).for_onnx(estimator), output, width)
    own = {converted.input[0].name: FEATURES, output: output}

    def renamed(name: str) -> str:
        return own.get(name) or (f"model/{name}" if name else "")

    for constant in converted.initializer:
        constant.name = renamed(constant.name)
        graph.constants.append(constant)
    for node in converted.node:
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        node.name = node.output[0]
        node.doc_string = ""
        if hasattr(estimator, "estimators_") and node.op_type.startswith("TreeEnsemble"):
            _direct_missing(node, estimator)
        if _is_logistic(node):
            _add_logistic(graph, node)
        else:
            graph.nodes.append(node)


def _direct_missing(ensemble: onnx.NodeProto, forest: BaseEstimator) -> None:
    """Send NaN the way that scikit-learn's forest does, which skl2onnx leaves out."""
    found = _attributes(ensemble)
    left = [tree.tree_.missing_go_to_left.astype(bool) for tree in forest.estimators_]
    places = zip(found["nodes_treeids"], found["nodes_nodeids"], found["nodes_modes"], strict=True)
    directions = [int(mode != b"LEAF" and left[tree][node]) for tree, node, mode in places]
    kept = [attribute for attribute in ensemble.attribute if attribute.name != _MISSING]
    del ensemble.attribute[:]
    ensemble.attribute.extend([*kept, onnx.helper.make_attribute(_MISSING, directions)])


def _is_logistic(node: onnx.NodeProto) -> bool:
    """Whether a node is an ensemble of trees that add up to one logit."""
    if node.op_type != "TreeEnsembleClassifier":
        return False
    found = _attributes(node)
    return found["post_transform"] == b"LOGISTIC" and len(set(found["class_ids"])) == 1


def _add_logistic(graph: Graph, classifier: onnx.NodeProto) -> None:
    """Add a binary classifier as a regressor and a sigmoid, which ONNX Runtime evaluates in four fifths of the time."""
    found, output = _attributes(classifier), classifier.output[1]
    attributes = {name: value for name, value in found.items() if name.startswith("nodes_") or name == "base_values"}
    for name in ("ids", "nodeids", "treeids", "weights"):
        attributes[f"target_{name}"] = found[f"class_{name}"]
    attributes["target_ids"] = [0] * len(found["class_ids"])
    logit = graph.add(
        "TreeEnsembleRegressor", classifier.input, f"{output}.logit", domain=ML, n_targets=1, **attributes
    )
    signs = graph.constant(f"{output}.signs", np.array([[-1.0, 1.0]], dtype=np.float32))
    graph.add("Sigmoid", [graph.add("Mul", [logit, signs], f"{output}.logits")], output)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _convert(estimator: BaseEstimator, output: str, width: int) -> onnx.GraphProto:
    """The model's own graph, its second output (classes) or only one (numbers) called as asked."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.base import is_classifier

    options = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else {}
    with warnings.catch_warnings():
        # skl2onnx writes False for 0 in the leaves of histogram gradient boosting
        warnings.filterwarnings("ignore", ".*Expected an int, got a boolean", DeprecationWarning)
        model = convert_sklearn(
            estimator,
            initial_types=[(FEATURES, FloatTensorType([None, width]))],
            options=options,
            target_opset=OPSETS,
        )
    old = model.graph.output[-1].name
    for node in model.graph.node:
        node.output[:] = [output if name == old else name for name in node.output]
    graph: onnx.GraphProto = model.graph
    return graph
