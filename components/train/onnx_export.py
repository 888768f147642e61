"""The fitted pipeline as one ONNX graph, made to score a single row fast; the same pipeline gives the same bytes.

One graph from the columns of a request to the answer: nothing of the preprocessing is done in the server, so nothing
can be done there in another way. Same bytes for the same pipeline, because a version is named by the content of its
files: a run that changes nothing has to come to the version that serves already.
"""

import onnx
from onnx import TensorProto, helper
from sklearn.pipeline import Pipeline

from components.shared.families import MODEL, PREPROCESS
from components.shared.package.schema import Schema
from components.shared.tasks import TASKS
from components.train.graph import Graph
from components.train.model_graph import add_model
from components.train.preprocessing_graph import add_preprocessing, output_width


def export(pipeline: Pipeline, schema: Schema) -> onnx.ModelProto:
    """Convert a fitted pipeline.

    Args:
        pipeline: As `families.make_pipeline` makes it, fitted.
        schema: The columns it was fitted on.

    Returns:
        A model from the tensors of `scoring.Inputs` to `probabilities` or `values`.
    """
    graph = Graph()
    add_preprocessing(graph, pipeline[PREPROCESS], schema)
    answer = TASKS[schema.task].answer
    add_model(graph, pipeline[MODEL], answer.output, width=output_width(pipeline[PREPROCESS]))
    return graph.model(
        _inputs(schema), [helper.make_tensor_value_info(answer.output, TensorProto.FLOAT, [None, answer.width(schema)])]
    )


def _inputs(schema: Schema) -> list[onnx.ValueInfoProto]:
    tensors = (
        ("numbers", TensorProto.FLOAT, schema.numbers),
        ("categories", TensorProto.STRING, schema.categories),
        ("times", TensorProto.INT64, schema.timestamps),
    )
    return [
        helper.make_tensor_value_info(name, kind, [None, len(columns)]) for name, kind, columns in tensors if columns
    ]
