"""How requests that prove a version are kept apart from those of clients: by a token in a header.

What a deployment asks (golden requests, logged requests asked again) is nothing that a client asked: the model server
answers it like every other request, and neither logs nor tallies its rows, so that they are in no drift report and not
among the requests that a later dark launch repeats.

The token is derived from the version's manifest, which the deployer and the server have and the endpoint shows nobody:
so nothing has to be handed to the server, every version has its own, and a client that merely sends the header is
logged like all others. It guards against mistakes, not against those who may read the model in the object store.
"""

import hashlib
from pathlib import Path

from components.shared.errors import PackageError
from components.shared.package.model_package import MANIFEST

HEADER = "Fullcircle-Proof"

_PURPOSE = b"fullcircle proof\n"


def proof_token(package: Path) -> str:
    """The token of a version, 64 hexadecimal digits.

    Args:
        package: Folder of the version's package.

    Raises:
        PackageError: It has no manifest.
    """
    try:
        return hashlib.sha256(_PURPOSE + (package / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise PackageError(
            f"{package / MANIFEST} cannot be read: {error.strerror}. Publish the model again."
        ) from error
