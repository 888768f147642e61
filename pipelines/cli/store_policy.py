"""`store-policy`: the S3 policy of a purpose, for stores whose users are made elsewhere."""

import json
from typing import Annotated

import typer

from pipelines.cli import options


def store_policy(
    purpose: options.PurposeOfKeys,
    bucket: Annotated[str, typer.Option(metavar="BUCKET", help="the bucket")] = "fullcircle",
) -> int:
    """Print an S3 policy, for stores that prepare-store cannot set up.

    Examples:
        python -m pipelines store-policy serving --bucket models
    """
    from components.shared.store_admin import policy

    print(json.dumps(policy(purpose, bucket), indent=2))
    return 0
