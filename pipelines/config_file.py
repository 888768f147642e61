"""Reading a configuration file: every mistake at once, each with its path and the nearest valid name.

A file with five mistakes should take one correction, not five runs. So all of them are collected, told by the path as a
person wrote it, without the names of pydantic's branches, and with the nearest name that exists. Words are taken as
written: YAML 1.1 reads the class `no` as false and a postal code as an octal number, and what was meant is lost before
anything can be checked.
"""

import difflib
import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from components.shared.config import Config
from components.shared.errors import ConfigError
from components.shared.families.table import FAMILIES
from components.shared.sources.table import KINDS, is_tag


class _AsWrittenLoader(yaml.SafeLoader):
    """YAML loader that refuses duplicate keys and reads plain words as YAML 1.2 does.

    PyYAML follows YAML 1.1, which reads a class called yes as true, the code 02134 as 1116, 12:30 as 750 and 2024-01-31
    as a date; what was written is lost. As in YAML 1.2, they are texts here.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _as_written(resolvers: dict[str, Any]) -> dict[str, Any]:
    """YAML 1.1's resolvers of plain words by first letter, without those of booleans, integers and timestamps."""
    replaced = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp"}
    return {letter: [rule for rule in rules if rule[0] not in replaced] for letter, rules in resolvers.items()}


_AsWrittenLoader.yaml_implicit_resolvers = _as_written(yaml.SafeLoader.yaml_implicit_resolvers)
_AsWrittenLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_AsWrittenLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile("([-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)


def load_config(path: Path) -> Config:
    """Read and check a configuration.

    Args:
        path: The YAML file.

    Returns:
        The checked configuration.

    Raises:
        ConfigError: The file is missing, is not YAML, or breaks the schema; the message lists every mistake.
    """
    content = _read_yaml(path)
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise _mistakes(path, [_describe(detail) for detail in error.errors()]) from error
    if mistake := _families_that_do_not_fit(config):
        raise _mistakes(path, [mistake])
    return config


def _mistakes(path: Path, lines: list[str]) -> ConfigError:
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return ConfigError(f"{path}: {count}\n" + "\n".join(f"  {line}" for line in lines))


def _families_that_do_not_fit(config: Config) -> str:
    """What is wrong with `search.families`; checked here, as the model server reads `Config` and knows no families."""
    task = config.problem.task
    fitting = [name for name, family in FAMILIES.items() if task in family.tasks]
    unfit = [name for name in config.search.families if name not in fitting]
    if not unfit:
        return ""
    return f"search.families: {', '.join(unfit)} cannot do a {task} task; these can: {', '.join(fitting)}."


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_AsWrittenLoader)  # noqa: S506, a SafeLoader
    except FileNotFoundError as error:
        near = difflib.get_close_matches(path.name, [file.name for file in path.parent.glob("*.y*ml")], n=1)
        hint = f" Did you mean {path.parent / near[0]}?" if near else ""
        raise ConfigError(f"{path}: there is no such configuration file.{hint}") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder; expected a YAML file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}. Save it as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {_yaml_problem(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {_found(content)}; expected a mapping with `name`, `source` and `problem`.")
    return content


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else problem


def _describe(detail: ErrorDetails) -> str:
    """One mistake: path, what was found, what is allowed, the nearest name."""
    path = ".".join(str(part) for part in detail["loc"] if not (_is_branch(part) or is_tag(part)))
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"{path}: unknown key.{_nearest(detail)}"
    if kind == "missing":
        return f"{path}: this key is required and was not found."
    if kind == "value_error":
        message = str(detail.get("ctx", {}).get("error", detail["msg"]))
        return f"{path}: {message}." if path else f"{message}."
    if kind == "union_tag_invalid":
        return f"{path}.kind: found {detail['ctx']['tag'].partition('=')[2]!r}; allowed: {', '.join(map(repr, KINDS))}."
    if kind == "literal_error":
        expected = detail.get("ctx", {}).get("expected", "")
        return f"{path}: found {_found(detail['input'])}; allowed: {expected}.{_nearest_value(detail)}"
    return f"{path}: found {_found(detail['input'])}; {_lower_first(detail['msg'])}."


def _is_branch(part: int | str) -> bool:
    """Whether a path element is pydantic's name of a union branch or of a key check rather than a key of the user's."""
    return isinstance(part, str) and (
        part in {"[key]", "bool", "int", "float", "str"} or part.startswith(("function-", "tuple["))
    )


def _found(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]


def _nearest(detail: ErrorDetails) -> str:
    *parents, wrong = detail["loc"]
    model = _model_at(parents)
    if model is None:
        return ""
    near = difflib.get_close_matches(str(wrong), list(model.model_fields), n=1, cutoff=0.5)
    allowed = ", ".join(model.model_fields)
    return f" Did you mean `{near[0]}`?" if near else f" Allowed here: {allowed}."


def _nearest_value(detail: ErrorDetails) -> str:
    expected = [
        value.strip(" '") for value in str(detail.get("ctx", {}).get("expected", "")).replace(" or ", ", ").split(",")
    ]
    near = difflib.get_close_matches(str(detail["input"]), expected, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def _model_at(parents: list[int | str]) -> type[BaseModel] | None:
    """The model that a path leads to; list indices and mapping keys step into the value's type."""
    annotation: Any = Config
    for part in parents:
        if is_tag(part):
            annotation = KINDS[str(part).partition("=")[2]]
            continue
        model = _model_in(annotation)
        if model is not None and isinstance(part, str) and part in model.model_fields and annotation is model:
            annotation = model.model_fields[part].annotation
        else:  # a list index, a mapping key or a union branch
            annotation = model
    return _model_in(annotation)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := _model_in(argument))), None)
