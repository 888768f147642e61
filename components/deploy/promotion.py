"""What a deployment is to come to in the registry: begun before anything is changed, completed as its last act.

Deploying takes minutes, and meanwhile another run may deploy. So a promotion remembers which champion it began with,
can be asked on the way whether that still holds, and moves the pointer on that condition only. The deployments here and
on a cluster get it as a value and know nothing of why a version is promoted: by a verdict, by a person, or back.
"""

from collections.abc import Callable
from dataclasses import dataclass

from components.shared.registry.history import Action, Entry, rollback_target
from components.shared.registry.judgement import Judgement
from components.shared.registry.registry import MovedError, Registry


@dataclass(frozen=True, slots=True)
class Promotion:
    """A version on its way to be the champion.

    Attributes:
        registry: Of the model.
        version: The version that is deployed.
        expected: The champion when the deployment began; None when there was none.
        action: Whether it is a new version or a way back.
        why: For the history.
        run: The run that does it; empty for a person, None for the run of this process.
    """

    registry: Registry
    version: str
    expected: Entry | None
    action: Action = "promoted"
    why: str = ""
    run: str | None = None

    @property
    def champion(self) -> str:
        """The version of the champion when the deployment began; empty when there was none."""
        return self.expected.version if self.expected else ""

    @property
    def moves(self) -> bool:
        """Whether completing it moves the pointer; not when the version is the champion already."""
        return self.champion != self.version

    # Example: begun when A was champion, to make C the champion. A still is: it goes on. B is: it stops. C is, by
    # another run of the same data: it goes on, as both want the same.
    def check(self) -> None:
        """Stop a deployment that another run has overtaken.

        Raises:
            MovedError: The champion is neither what it was when the deployment began nor this version.
        """
        now = self.registry.champion()
        found = now.version if now else ""
        if found != self.version and (found != self.champion or (now and not now.is_same(self.expected))):
            raise self.registry.moved(self.version, now, instead_of=self.champion or None, action=self.action)

    def complete(self) -> None:
        """Make the version the champion; to be called when it has served, and before that can no longer be undone.

        Raises:
            MovedError: Another run has moved the pointer, and not to this version; this one changes nothing then.
        """
        if not self.moves:
            self.check()
            return
        try:
            self.registry.promote(self.version, expected=self.expected, action=self.action, run=self.run, why=self.why)
        except MovedError:
            champion = self.registry.champion()  # two runs of the same data make the same version
            if champion is None or champion.version != self.version:
                raise


# Makes a promotion. It is called under the endpoint's lock, so that the champion it reads is the current one.
Begin = Callable[[Registry], Promotion]


def of_verdict(version: str, judged: Judgement, *, why: str = "", run: str | None = None) -> Begin:
    """Promote a version that the gate let through, if the champion is still the one that it was compared with.

    A version that is the champion already, as after a deployment that was killed behind its last act, is deployed
    again all the same.

    Args:
        version: The version.
        judged: The gate's verdict.
        why: For the history; empty for what the verdict says.
        run: The run that made the version; None for that of this process.
    """

    def begin(registry: Registry) -> Promotion:
        champion = registry.champion()
        found = champion.version if champion else None
        if found not in (judged.champion, version):
            raise registry.moved(version, champion, instead_of=judged.champion)
        return Promotion(registry, version, champion, why=why or judged.why, run=run)

    return begin


def of_rollback(serves: str, *, wanted: str = "", why: str = "") -> Begin:
    """Go back: from the champion to what was champion before it, or from another version to the champion.

    What serves is another version than the champion only when a deployment was killed between serving and its last
    act; the way back from there leads to the champion.

    Args:
        serves: The version that serves now.
        wanted: The version to go to; empty for the one before.
        why: For the history.
    """

    def begin(registry: Registry) -> Promotion:
        entries = registry.history()
        champion = entries[-1] if entries else None
        if champion and champion.version != serves and not wanted:
            return Promotion(registry, champion.version, champion, "rolled back", why, run="")
        target = rollback_target(entries, registry.name, wanted=wanted)
        return Promotion(registry, target, champion, "rolled back", why, run="")

    return begin
