"""The fitted model as ONNX operations: converted by skl2onnx, LightGBM by onnxmltools."""

import copy
import warnings
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from components.train.graph import FEATURES, ML, OPSETS, Graph

_MISSING = "nodes_missing_value_tracks_true"


def add_model(graph: Graph, estimator: Any, output: str, *, width: int) -> None:
    """Add the converted model between `features` and the output."""
    converted = _convert(float32_thresholds(estimator), output, width)
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


def _direct_missing(ensemble: onnx.NodeProto, forest: Any) -> None:
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


def _convert(estimator: Any, output: str, width: int) -> onnx.GraphProto:
    """The model's own graph, its second output (classes) or only one (numbers) called as asked."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    _register_lightgbm()
    options = {} if output == "values" else {id(estimator): {"zipmap": False}}
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


def _register_lightgbm() -> None:
    """Tell skl2onnx about LightGBM; done again it changes nothing."""
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    classifier_options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options=classifier_options,
    )
    update_registered_converter(
        LGBMRegressor,
        "LightGbmLGBMRegressor",
        calculate_linear_regressor_output_shapes,
        convert_lightgbm,
        options={"split": None},
    )


def float32_thresholds(estimator: Any) -> Any:
    """A copy of a tree model whose thresholds are float32 values, rounded down; any other model as it is.

    For a float32 `x`, `x <= t` holds exactly when `x <= down(t)`: predictions are the same, and ONNX can hold them.
    """
    if hasattr(estimator, "booster_"):
        return _lightgbm_float32(estimator)
    if hasattr(estimator, "_predictors"):
        changed = copy.deepcopy(estimator)
        for predictor in (one for iteration in changed._predictors for one in iteration):
            predictor.nodes["num_threshold"] = round_down(predictor.nodes["num_threshold"])
        return changed
    if hasattr(estimator, "estimators_"):
        changed = copy.deepcopy(estimator)
        for tree in changed.estimators_:
            tree.tree_.threshold[:] = round_down(tree.tree_.threshold)
        return changed
    return estimator


def round_down(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest float32 not above each value, as float64."""
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float64)


def _lightgbm_float32(estimator: Any) -> Any:
    from lightgbm import Booster

    lines = []
    for line in estimator.booster_.model_to_string().splitlines():
        key, _, values = line.partition("=")
        if key == "threshold":
            rounded = round_down(np.asarray(values.split(), dtype=np.float64))
            lines.append("threshold=" + " ".join(repr(float(value)) for value in rounded))
        else:
            lines.append(line)
    changed = copy.copy(estimator)
    changed._Booster = Booster(model_str=_with_tree_sizes(lines))
    return changed


def _with_tree_sizes(lines: list[str]) -> str:
    """LightGBM's text names the bytes of each tree; without that line it finds the trees by itself."""
    return "\n".join(line for line in lines if not line.startswith("tree_sizes=")) + "\n"
