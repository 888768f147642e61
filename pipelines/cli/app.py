"""Turn a table into a monitored model endpoint, on this machine or on Kubeflow Pipelines.

This is the command line as one Typer application: the verbs, and the headings under which `--help` lists them.

A new verb is a function in a file of its own and its name in this table. It returns the exit code, and its docstring is
its help: a first line for the list of verbs, then examples. Verbs import what is heavy inside: `--help` and a shell's
completion load all of these files.
"""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from pipelines.cli.approve import approve
from pipelines.cli.compile import compile
from pipelines.cli.contract import contract
from pipelines.cli.decisions import decisions
from pipelines.cli.demo import demo
from pipelines.cli.diagnose import diagnose
from pipelines.cli.doctor import doctor
from pipelines.cli.fetch import fetch
from pipelines.cli.follow import follow
from pipelines.cli.labels import labels
from pipelines.cli.monitor import monitor
from pipelines.cli.open import open
from pipelines.cli.predict import predict
from pipelines.cli.prepare_store import prepare_store
from pipelines.cli.prune import prune
from pipelines.cli.reject import reject
from pipelines.cli.replay_policy import replay_policy
from pipelines.cli.resume import resume
from pipelines.cli.rollback import rollback
from pipelines.cli.run import run
from pipelines.cli.schedule import schedule
from pipelines.cli.schema import schema
from pipelines.cli.stop import stop
from pipelines.cli.store_policy import store_policy
from pipelines.cli.store_rights import store_rights
from pipelines.cli.submit import submit
from pipelines.cli.undeploy import undeploy
from pipelines.cli.versions import versions
from pipelines.cli.watch import watch

if TYPE_CHECKING:
    from typer._click.core import Context
    from typer._click.formatting import HelpFormatter

VERBS: dict[str, tuple[Callable[..., int], ...]] = {
    "On this machine": (run, predict, contract, schema, demo, stop),
    "Models and their endpoints": (versions, open, labels, approve, reject, rollback, undeploy),
    "Watching and retraining": (monitor, watch, decisions, replay_policy, resume),
    "On Kubeflow Pipelines": (doctor, submit, follow, schedule, diagnose, compile),
    "The object store": (fetch, prune, prepare_store, store_policy, store_rights),
}


class InterruptedVerbError(Exception):
    """A verb was interrupted from the keyboard, and says nothing of it itself."""


def application() -> TyperGroup:
    """The command that a program calls with its arguments."""
    # Plain text instead of boxes: it can be searched, copied and read in a log.
    app = typer.Typer(cls=_GroupedVerbs, rich_markup_mode=None, help=__doc__.partition("\n")[0])
    app.callback()(_without_a_verb)
    for verbs in VERBS.values():
        for verb in verbs:
            app.command(verb_name(verb), help=_help_of(verb))(_reports_interruption(verb))
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)  # noqa: S101, it has several verbs
    return command


def verb_name(verb: Callable[..., int]) -> str:
    """What a user types for a verb: `prepare-store` for `prepare_store`."""
    return verb.__name__.replace("_", "-")


def _reports_interruption(verb: Callable[..., int]) -> Callable[..., int]:
    """Raise an error of our own: Typer makes an exit code of an interruption, which verbs also return themselves."""

    @functools.wraps(verb)
    def call(*arguments: object, **options: object) -> int:
        try:
            return verb(*arguments, **options)
        except KeyboardInterrupt as error:
            raise InterruptedVerbError from error

    return call


class _GroupedVerbs(TyperGroup):
    """Lists the verbs under their headings, each with the whole first line of its help."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:  # noqa: ARG002
        for heading, verbs in VERBS.items():
            with formatter.section(heading):
                formatter.write_dl([(verb_name(verb), _first_line(verb)) for verb in verbs])


def _without_a_verb() -> None:
    """Do nothing before the verb."""


def _first_line(verb: Callable[..., int]) -> str:
    return (inspect.getdoc(verb) or "").partition("\n")[0]


def _help_of(verb: Callable[..., int]) -> str:
    """The docstring, with the mark (a backspace) that keeps the lines of its examples from being joined."""
    return (inspect.getdoc(verb) or "").replace("\nExamples:", "\n\b\nExamples:")
