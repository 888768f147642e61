"""The model server: `python -m images.predictor --model_name NAME --model_dir FOLDER --http_port PORT`."""

import argparse
import logging
import sys
from pathlib import Path

import kserve
from kserve import model_server

from components.shared.errors import PackageError
from images.predictor.model import PackageModel


class Server(kserve.ModelServer):  # type: ignore[misc]  # kserve has no types
    """KServe's server, listening at one address of the machine instead of at all of them."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(http_port=port, enable_grpc=False, enable_latency_logging=False)
        self.host = host

    async def _serve(self) -> None:
        self._rest_server.config.host = self.host
        await super()._serve()


def main() -> int:
    """Serve a model package until it is told to stop; refuse to start with one that cannot be trusted."""
    parser = argparse.ArgumentParser(parents=[model_server.parser], description="Serves a Fullcircle model package.")
    parser.add_argument("--model_dir", type=Path, required=True, help="folder of the model package")
    parser.add_argument("--http_host", default="0.0.0.0", help="address to listen at; all of them by default")  # noqa: S104
    arguments = parser.parse_args()
    model = PackageModel(arguments.model_name, arguments.model_dir)
    try:
        model.load()
    except PackageError as error:
        print(error, file=sys.stderr)
        return 1
    server = Server(arguments.http_host, arguments.http_port)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # a line a request would fill the disk
    server.start([model])
    return 0


if __name__ == "__main__":
    sys.exit(main())
