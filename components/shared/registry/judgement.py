"""The gate's verdict, as publish and deploy read it: whether a version may serve, and what it was compared with.

The gate is a stage of its own and no other stage may import it, so what of its verdict others rely on is described
here. It is believed only if it says yes with a plain `true` and names no other version; a file that is cut short or of
another run lets nothing through.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.shared.errors import PackageError, in_short


class _Check(BaseModel):
    model_config = ConfigDict(frozen=True)

    holds: bool


class Judgement(BaseModel):
    """What publish and deploy need of the gate's verdict."""

    model_config = ConfigDict(frozen=True)

    promoted: Any = Field(default=False, description="True, and nothing else, lets the candidate through.")
    candidate: str = Field(default="", description="The version that was judged; empty when the verdict does not say.")
    champion: str | None = Field(default=None, description="The version it was compared with; None for none.")
    forced: bool = False
    warned: bool = False
    checks: list[_Check] = []

    @classmethod
    def read(cls, path: Path, version: str) -> "Judgement":
        """Read the verdict on a version, which has to be that it is promoted.

        Raises:
            PackageError: The file is no verdict, one on another version, or not to promote it.
        """
        try:
            found = cls.model_validate(read_json(path))
        except ValidationError as error:
            raise PackageError(f"{path} is no verdict of the gate: {in_short(error)}. Run the gate again.") from error
        if found.promoted is not True:
            raise PackageError(f"The gate's verdict, {path}, is not to promote this model; nothing was published.")
        if (found.candidate or version) != version:
            raise PackageError(
                f"The gate judged version {found.candidate}, and the model is version {version}; nothing was published."
            )
        return found

    @property
    def why(self) -> str:
        """Why it was promoted, for the history."""
        if not self.checks:
            return "let through by the gate"
        held = f"{sum(check.holds for check in self.checks)} of {len(self.checks)} checks hold"
        return (
            f"{'forced' if self.forced else 'let through with warnings' if self.warned else 'passed the gate'}: {held}"
        )


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object that a stage before wrote.

    Raises:
        PackageError: There is none.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PackageError(f"{path} cannot be read as JSON: {error}. Run the stage that writes it again.") from error
    if not isinstance(content, dict):
        raise PackageError(f"{path} holds no JSON object. Run the stage that writes it again.")
    return content
