"""What every protocol of predictions does: it reads rows from the body of a request and writes the answer to them."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from images.predictor.explain import Explanation
from images.predictor.messages import Request, Response
from images.predictor.protocols.query import Query


class Codec(ABC):
    """Reads and writes requests of one protocol for one model."""

    @abstractmethod
    def read(self, request: Request, body: bytes) -> Query:
        """Read the rows.

        Args:
            request: The request, for its headers.
            body: Its body, decompressed.

        Raises:
            ProtocolError: It does not follow the protocol, or holds no rows or too many.
            InputError: A row does not fit the schema.
        """

    @abstractmethod
    def write(self, query: Query, scores: NDArray[np.float32], explanation: Explanation | None) -> Response:
        """The answer to a request.

        Args:
            query: What was read.
            scores: Of its rows.
            explanation: Of its rows, where one was asked for.
        """
