"""Building an ONNX graph: nodes and constants by name.

The exporters add what they need in any order and share tensors by name; what no output depends on in the end is
removed, so that no exporter has to know what another one uses. Versions of the operations are pinned: the server's ONNX
Runtime has to know them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

ML = "ai.onnx.ml"
OPSETS = {"": 18, ML: 3}
IR_VERSION = 9
FEATURES = "features"  # the tensor that the preprocessing hands to the model


class Graph:
    """Nodes and constants in the order they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operation: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        """Add a node named as its output, which is returned."""
        self.nodes.append(helper.make_node(operation, list(inputs), [output], name=output, domain=domain, **attributes))
        return output

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a constant tensor and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def model(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The graph with only what its outputs need."""
        graph = helper.make_graph(self.nodes, "fullcircle", inputs, outputs, self.constants)
        remove_unused_nodes(graph)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="fullcircle", ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model


# Example: of `a -> b`, `a -> c` and `b -> out`, looked at from the end, `out` needs `b` and that `a`; nothing needs
# `c`.
def remove_unused_nodes(graph: onnx.GraphProto) -> None:
    """Remove the nodes and constants that no output depends on."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
