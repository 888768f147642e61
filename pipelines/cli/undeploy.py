"""`undeploy`: the end of an endpoint."""

from pipelines.cli import options
from pipelines.cli.places import endpoint_folder


def undeploy(model: options.Model, namespace: options.EndpointNamespace = "") -> int:
    """End a model's endpoint; its versions stay in the store.

    Examples:
        python -m pipelines undeploy flights
        python -m pipelines undeploy flights --namespace fullcircle
    """
    from components.deploy.rollback import undeploy as end_endpoint

    version = end_endpoint(model, folder=endpoint_folder(model, namespace), namespace=namespace)
    print(f"{model} is served no more; version {version} is still in the store, and the champion what it was")
    return 0
