"""What each service account needs on a cluster, and what none may have: one table, for `doctor` and for the tests.

The manifests grant rights, the code uses them, and the two drift apart: one too few fails a deployment, one too many is
noticed by nobody. On a cluster both are held against this table, by `doctor` and by the tests.
"""

from dataclasses import dataclass

from components.shared import agreed_names

RUNS = "pipeline-runner"
SERVING = agreed_names.SERVING
MONITORING = agreed_names.MONITORING
DECISIONS = "fullcircle-decisions"
MINIO = "minio"

_SERVING_GROUP = "serving.kserve.io"


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that an account may or may not do in a namespace.

    Attributes:
        verb: Such as `get`.
        resource: Such as `pods`, or `pods/log`.
        group: The API group; empty for the core one.
        name: One object's name; empty for all.
        why: What needs it.
    """

    verb: str
    resource: str
    group: str = ""
    name: str = ""
    why: str = ""

    def __str__(self) -> str:
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {kind}{f'/{self.name}' if self.name else ''}"


def _rights(verbs: str, resource: str, group: str = "", *, name: str = "", why: str) -> tuple[Right, ...]:
    return tuple(Right(verb, resource, group, name, why) for verb in verbs.split())


NEEDED: dict[str, tuple[Right, ...]] = {
    RUNS: (
        *_rights("get list watch create update patch delete", "inferenceservices", _SERVING_GROUP, why="deploy"),
        *_rights("get list", "pods", why="deploy and monitor say why a pod does not run"),
        *_rights("get", "pods/log", why="deploy and monitor show what a pod said"),
        *_rights("get", "services", why="deploy finds the endpoint"),
        *_rights("list", "events", why="deploy says why there is no pod"),
        *_rights("get", "cronjobs", "batch", name=MONITORING, why="monitor makes its Job from it"),
        *_rights("get create", "jobs", "batch", why="monitor runs the report"),
    ),
    SERVING: (),
    MONITORING: (),
    DECISIONS: (
        *_rights("list", "pods", why="decisions say why a retraining failed"),
        *_rights("get", "pods/log", why="decisions show what a pod of it said"),
        *_rights("list", "events", why="decisions say why a pod of it does not run"),
        *_rights("list", "workflows", "argoproj.io", why="decisions say why a retraining has no pod"),
    ),
    MINIO: (),
}

# Of the namespace: an account that may do these can take more than it was given.
DANGEROUS: tuple[Right, ...] = (
    *_rights("get list", "secrets", why="keys of others"),
    *_rights("create", "pods", why="a pod under any account"),
    *_rights("create", "pods/exec", why="commands in any pod"),
    *_rights("create", "roles", "rbac.authorization.k8s.io", why="rights for itself"),
    *_rights("create", "rolebindings", "rbac.authorization.k8s.io", why="rights for itself"),
    *_rights("create", "serviceaccounts/token", why="becoming another account"),
)
