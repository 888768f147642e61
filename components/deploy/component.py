"""Adapter of the deploy stage."""

from kfp import dsl

from components.shared.component import stage


@stage
def deploy(
    name: str,
    serving: str,
    version: str,
    verdict: dsl.Input[dsl.Artifact],
    endpoint: dsl.Output[dsl.Artifact],
    deploy_page: dsl.Output[dsl.HTML],
    namespace: str = "",
) -> str:
    """Bring up the endpoint with a version, prove it and make it the champion; one that fails leaves the one before.

    Args:
        name: Name of the model and of the endpoint.
        serving: The configuration's `serving` section, JSON.
        version: The version to serve.
        verdict: The gate's verdict, JSON; the version becomes the champion if what it compared with still is.
        endpoint: Where it answers, how it came to serve and how it differs from the version before: JSON.
        deploy_page: The same for people.
        namespace: Where the endpoint is on a cluster; empty for the namespace of the run.

    Returns:
        The version that serves.
    """
    from pathlib import Path

    from components.deploy.deploy import deploy_version
    from components.deploy.page import deployment_page
    from components.shared.config import ServingConfig
    from components.shared.files import write_text
    from components.shared.progress import announce

    deployed = deploy_version(
        name, version, ServingConfig.model_validate_json(serving), verdict=Path(verdict.path), namespace=namespace
    )
    write_text(Path(endpoint.path), deployed.model_dump_json(indent=2))
    deployment_page(deployed).write(Path(deploy_page.path))
    announce(deployed.message)
    return deployed.version
