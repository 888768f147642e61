"""`store-rights`: what the keys of the environment may do in the store."""

import json

from pipelines.cli import options


def store_rights(purpose: options.PurposeOfKeys) -> int:
    """Try what the keys of the environment may do and print it as JSON; changes nothing.

    Examples:
        python -m pipelines store-rights stages
    """
    from components.shared.store import StoreSettings
    from pipelines.cluster.store_rights import report

    print(json.dumps(report(StoreSettings.from_environment(), purpose)))
    return 0
