"""One line a stage says about what it did, read by people in the pod's log and by the local run."""

MARK = "▸ "


def announce(message: str) -> None:
    """Print the stage's one-line summary, such as `336,776 rows, 24 columns`."""
    print(f"{MARK}{message}", flush=True)  # noqa: T201, the pod's log is where it belongs
