"""`python -m pipelines`: the command line, and what every verb's errors look like."""

import sys
from collections.abc import Sequence

# Nothing heavy here: every task's process imports this module again.

PROGRAM = "python -m pipelines"
_LAUNCHER = "fullcircle"  # the script beside this package: shells complete names of one word only
_COMPLETION_OPTIONS = {"--install-completion", "--show-completion"}
_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        arguments: What stands after the program's name; those of this process by default.

    Returns:
        The exit code: 0, 1 for an error that the user can correct, 2 for a command line that makes no sense, 130 when
        interrupted.
    """
    from components.shared.errors import FullcircleError

    try:
        return _call(list(sys.argv[1:] if arguments is None else arguments))
    except FullcircleError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        from pipelines.local.workers import explain, is_disk_full

        if not is_disk_full(error):
            raise
        print(f"\n{explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing of this run is left running; what was serving before still is.", file=sys.stderr)
        return _INTERRUPTED


def _call(arguments: list[str]) -> int:
    """Hand the arguments to Typer."""
    from typer._click.exceptions import ClickException  # the base of all errors of usage, which Typer does not export

    from pipelines.cli.app import InterruptedVerbError, application

    asks_for_completion = not _COMPLETION_OPTIONS.isdisjoint(arguments)
    try:
        code = application().main(
            arguments,
            prog_name=_LAUNCHER if asks_for_completion else PROGRAM,
            complete_var=f"_{_LAUNCHER.upper()}_COMPLETE",
            standalone_mode=False,
        )
    except InterruptedVerbError:
        raise KeyboardInterrupt from None
    except ClickException as error:
        error.show()  # one line that can be copied, where Typer itself would draw a box around it
        return error.exit_code
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main())
