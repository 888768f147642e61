"""`schema`: every key of the configuration, for editors or for people."""

import json
import sys
from typing import Annotated

import typer


def schema(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="print the page docs/configuration.md instead, for people")
    ] = False,
) -> int:
    """Print the JSON Schema of the configuration.

    Examples:
        python -m pipelines schema > pipelines/configs/schema.json
        python -m pipelines schema --markdown > docs/configuration.md
    """
    from components.shared.config import Config

    described = Config.model_json_schema()
    if markdown:
        from pipelines.cli.configuration_page import configuration_page

        sys.stdout.write(configuration_page(described))
    else:
        print(json.dumps(described, indent=2))
    return 0
