"""What is known of the overlay one-node."""

from components.shared.store import Store, StoreSettings
from tests.cluster.kubectl import Kubectl

NAMESPACE = "fullcircle"
# Public: the overlay's own development keys, by purpose.
KEYS = {
    purpose: (f"development-{purpose}", f"development-{purpose}-secret")
    for purpose in ("root", "stages", "serving", "monitoring", "artifacts")
}


def ours(cluster: Kubectl) -> set[str]:
    """What belongs to no namespace and is labelled as ours."""
    kinds = cluster("api-resources", "--verbs=list", "--namespaced=false", "-o", "name").split()
    return set(cluster("get", ",".join(kinds), "-l", "app.kubernetes.io/part-of=fullcircle", "-o", "name").split())


def empty(cluster: Kubectl) -> None:
    """Remove what is in the store."""
    with cluster.forwarded(NAMESPACE, "minio-service", 9000) as address:
        store = Store(StoreSettings(address, *KEYS["root"]))
        for item in store.list(""):
            store.delete(item.key)
