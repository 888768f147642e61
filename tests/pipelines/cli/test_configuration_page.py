"""The page of the configuration, of models made for this test."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from pipelines.cli.configuration_page import configuration_page


class Limits(BaseModel):
    """What may be spent."""

    seconds: float = Field(default=60, gt=0, description="Longest time.")


class Local(BaseModel):
    """On this machine."""

    kind: Literal["local"] = "local"
    path: str = Field(description="Where, such as `a|b`.")
    header: bool = Field(default=True, description="Whether there are names.")


class Remote(BaseModel):
    """Elsewhere."""

    kind: Literal["remote"] = "remote"
    path: str = Field(description="An address.")
    header: bool = Field(default=True, description="Whether there are names.")


class Settings(BaseModel):
    """All of it."""

    limits: Limits = Limits()
    tables: dict[str, Annotated[Local | Remote, Field(discriminator="kind")]] = Field(description="By name.")
    mode: Literal["", "fast"] = Field(default="", description="How.")
    by_stage: dict[str, Limits] = Field(default={"train": Limits(seconds=5)}, description="Of single stages.")


PAGE = configuration_page(Settings.model_json_schema())


def section(heading: str) -> list[str]:
    rest = PAGE[PAGE.index(f"{heading}\n") + len(heading) :]
    return rest[: rest.index("\n#") if "\n#" in rest else len(rest)].split("\n")


def test_keys_of_the_whole_file_lead_to_their_models():
    rows = section("## The whole file")

    assert "| `limits` | [`limits`](#limits) | see there | What may be spent. |" in rows
    assert '| `mode` | `""` or `fast` | – | How. |' in rows
    assert "| `seconds` | number (> 0) | `60` | Longest time. |" in section("## `limits`")


def test_defaults_by_name_are_a_table_of_their_own():
    rows = section("## The whole file")

    assert "The defaults of `by_stage`:" in rows
    assert "| `train` | 5.0 |" in rows


def test_of_several_kinds_the_first_has_all_keys_and_the_others_what_differs():
    assert "[`tables.* (local)`](#tables-local) or [`tables.* (remote)`](#tables-remote)" in PAGE
    assert "| `header` | `true` or `false` | `true` | Whether there are names. |" in section("## `tables.* (local)`")
    other = section("## `tables.* (remote)`")
    assert "The keys are those of [`tables.* (local)`](#tables-local), but for these:" in other
    assert [row.split()[1] for row in other if row.startswith("| `")] == ["`kind`", "`path`"]


def test_a_text_stays_within_its_cell():
    assert "| `path` | text | needed | Where, such as `a\\|b`. |" in section("## `tables.* (local)`")
