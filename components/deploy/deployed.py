"""What a deployment comes to, here or on a cluster.

One record for both ways of deploying, so that the summary and the page need not know which it was. What only a cluster
has is empty here. It is written when the version serves; a deployment that failed leaves none.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.deploy.canary import CanaryReport
from components.deploy.dark_launch import DarkLaunch


class Deployed(BaseModel):
    """Where a version answers.

    Attributes:
        name: Name of the model and of the endpoint.
        version: The version that serves.
        url: V1 prediction URL, for clients; of a cluster's endpoint it is known inside the cluster.
        replaced: The version that served before; empty when there was none, or it was the same.
        promoted: Whether the version became the champion by this.
        restarted: False when the version served already, so that nothing was changed.
        golden_requests: How many golden requests were replayed.
        seconds: From the first change to the last proof.
        namespace: Where the endpoint is on a cluster; empty on this machine.
        ready_seconds: On a cluster: from applying the endpoint until it was ready.
        rollout: How the version came to serve.
        dark_launch: What was proven before anybody asked the version; none on this machine, or when it served already.
        canary: What a share of the real requests showed; none without a canary.
        remarks: What was left out, and why.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    url: str
    replaced: str = ""
    promoted: bool = False
    restarted: bool = True
    golden_requests: int
    seconds: float = 0.0
    namespace: str = ""
    ready_seconds: float = 0.0
    rollout: Literal["local", "first", "rolling", "canary", "unchanged"] = "local"
    dark_launch: DarkLaunch | None = None
    canary: CanaryReport | None = None
    remarks: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """One line for people."""
        how = "answers" if self.restarted else "answers already"
        instead = f" instead of {self.replaced}" if self.replaced else ""
        champion = ", now the champion" if self.promoted else ""
        return (
            f"{self.version}{instead} {how} at {self.url} ({self.golden_requests} golden requests replayed){champion}"
        )
