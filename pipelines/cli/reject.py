"""`reject`: a version that waits for an answer, and is not to serve."""

from pipelines.cli import options
from pipelines.cli.places import endpoint_folder, local_store


def reject(
    model: options.Model,
    version: options.WaitingVersion,
    namespace: options.EndpointNamespace = "",
    why: options.Why = "",
) -> int:
    """Write down that a version that waits for approval is not to serve, and end its shadow; what serves stays.

    Examples:
        python -m pipelines reject flights --version 9528be9c5e80 --why "worse for small airports"
    """
    from components.deploy.approval import reject as reject_version

    folder = endpoint_folder(model, namespace)
    rejected = reject_version(local_store(), model, version, why=why, folder=folder, namespace=namespace)
    print(f"version {version} of {model} was {rejected.in_words}")
    return 0
