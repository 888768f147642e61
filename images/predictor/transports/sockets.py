"""Sockets that are bound before there is a server, and ports that a server takes over from the one before it."""

import socket


def bound(host: str, port: int, *, beside: bool = False) -> socket.socket:
    """A socket of an address that does not listen yet: nobody connects before there is a worker that answers.

    Args:
        host: The address.
        port: The port.
        beside: Whether a server of this kind and this user may answer there already.

    Raises:
        OSError: The port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if beside:
        share(found)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise unusable(error, host, port) from error
    return found


def share(found: socket.socket) -> None:
    """Let a later server answer at the same port, beside this one, until this one ends."""
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def unusable(error: OSError, host: str, port: int) -> OSError:
    """What to say of a port that cannot be used."""
    why = error.strerror or str(error)
    return OSError(f"Port {port} of {host} cannot be used: {why}. Free it, or name another one.")
