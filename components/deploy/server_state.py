"""Which process of this machine serves which version where: what a state file remembers of a server.

The number of a process alone is not enough: after it ends the system gives the number to another program, which must
not be taken for a server, or ended as one. With the moment of its creation it is one process for good. `local_endpoint`
and the local shadow keep one such file for each server.
"""

from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from components.shared.errors import DeployError
from components.shared.processes import ProcessId

HOST = "127.0.0.1"


class ServerState(BaseModel):
    """A state file: which process serves what, where.

    Attributes:
        name: Name of the model.
        version: The version it serves.
        port: Where it answers, or is going to once it is proven.
        standby: Where it answers until then; 0 when it answers at `port` from the start.
        shadow_port: Where a candidate answers that it sends copies of requests to; 0 for no copies.
        wanted_port: The port that was asked for.
        settings: What else it was started with; a server that was started with something else is replaced.
        pid: The process.
        created: When it was created, in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    port: int
    standby: int = 0
    shadow_port: int = 0
    wanted_port: int
    settings: str = ""
    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """The server, when it runs."""
        return ProcessId(self.pid, self.created).find()

    def is_same(self, other: "ServerState") -> bool:
        """Whether both are the same process."""
        return (self.pid, self.created) == (other.pid, other.created)

    def listens(self) -> bool:
        """Whether it answers at the port that is meant for it, and not only where it is being proven."""
        process = self.process()
        try:
            found = process.connections("tcp") if process else []
        except psutil.NoSuchProcess:
            return False
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == self.port for one in found)

    @classmethod
    def read(cls, path: Path) -> "ServerState | None":
        """What a state file says; None when there is none, or one of another version, of which nothing can be trusted.

        Raises:
            DeployError: There is one that cannot be read: whether a server runs is not known then.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise DeployError(
                f"{path}, which says which server runs, cannot be read: {error.strerror}. Make it readable."
            ) from error

    @classmethod
    def of_running(cls, path: Path) -> "ServerState | None":
        """What a state file says of a server that runs; None when there is none, or it has ended.

        Raises:
            DeployError: The file cannot be read.
        """
        state = cls.read(path)
        return state if state and state.process() else None

    @property
    def url(self) -> str:
        """Where its predictions are asked for."""
        return prediction_url(self.standby or self.port, self.name)


def prediction_url(port: int, name: str) -> str:
    """The V1 prediction URL of a model on this machine."""
    return f"http://{HOST}:{port}/v1/models/{name}:predict"
