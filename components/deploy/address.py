"""Where a predictor on a cluster answers: for clients by name, and for the proofs of this process by address.

A headless Service has no address and no port of its own: a client then has to name the server's port, and a proof asks
one of its pods. Proofs go by IP address so that they work where the cluster's names are not known. Used by
`cluster_endpoint`, `cluster_proof` and the canary, which asks each pod by itself.
"""

from components.deploy.diagnosis import is_leaving, is_ready
from components.shared.errors import UnreachableError
from components.shared.kubernetes.api import Object

PORT = 8080  # of a server, as the runtime says


def endpoint_url(service: Object | None, namespace: str, *, model: str) -> str:
    """The V1 prediction URL inside the cluster.

    Args:
        service: The predictor's Service.
        namespace: Where it is.
        model: Name of the model.
    """
    port = f":{_target_port(service)}" if service and _is_headless(service) else ""
    return f"http://{model}-predictor.{namespace}.svc.cluster.local{port}/v1/models/{model}:predict"


def proof_url(service: Object | None, pods: list[Object], *, model: str, service_name: str) -> str:
    """The prediction URL by IP address, which needs no cluster DNS: of the Service, or of a pod where that has none.

    Raises:
        UnreachableError: There is no Service, or no server behind it.
    """
    if service is None:
        raise UnreachableError(f"KServe has made no Service {service_name}.")
    if not _is_headless(service):
        return f"http://{_host(service['spec']['clusterIP'])}:{_port(service)['port']}/v1/models/{model}:predict"
    addresses = pod_addresses(pods, port=_target_port(service))
    if not addresses:
        raise UnreachableError(f"No server is ready behind the Service {service_name}.")
    return f"{addresses[-1]}/v1/models/{model}:predict"


def pod_addresses(pods: list[Object], *, port: int = PORT) -> list[str]:
    """Where the servers that get requests are, `http://host:port` each."""
    return [
        f"http://{_host(pod['status']['podIP'])}:{port}"
        for pod in pods
        if is_ready(pod) and not is_leaving(pod) and pod["status"].get("podIP")
    ]


def service_port(service: Object | None) -> int:
    """The port of a predictor's Service."""
    return int(_port(service)["port"]) if service else 80


def _is_headless(service: Object) -> bool:
    return service["spec"].get("clusterIP") in (None, "", "None")


def _port(service: Object) -> Object:
    ports: list[Object] = service["spec"]["ports"]
    return next((port for port in ports if port["port"] == 80), ports[0])


def _target_port(service: Object) -> int:
    target = _port(service).get("targetPort")
    return target if isinstance(target, int) else PORT  # a name: the runtime's only port


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
