"""The page docs/configuration.md, made from the JSON Schema of the configuration: what the models check, people read.

A section of the page is a model at the first place where it stands, such as `search.budget`; a key that holds a model
leads there.
"""

import json
from collections.abc import Iterator
from typing import Any

_Schema = dict[str, Any]

_INTRODUCTION = """\
# Configuration

<!-- Made by `python -m pipelines schema --markdown`: change the models in components/shared/config/, not this page. -->

A use case is one YAML file. This page lists every key with its type, its default and what it means. The file is checked
before anything runs, and a wrong one lists every mistake with its path. With this first line an editor that knows YAML
schemas completes and checks it:

```text
# yaml-language-server: $schema=schema.json
```

`pipelines/configs/flights.yaml` uses most of the sections. [Getting started](getting-started.md#your-own-table) has the
shortest complete file.

In the headings, `*` stands for a name that you choose, such as that of a table or a column, and `[]` for an item of a
list. `–` is no value.
"""
_LIMITS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "minLength": "length ≥",
    "maxLength": "length ≤",
    "minItems": "items ≥",
    "maxItems": "items ≤",
}


def configuration_page(schema: _Schema) -> str:
    """The page as Markdown.

    Args:
        schema: The JSON Schema of the configuration, as pydantic writes it.
    """
    return "\n".join([_INTRODUCTION, *_Page(schema).lines(), ""])


class _Page:
    """The sections of the page, and where each model is described."""

    def __init__(self, schema: _Schema) -> None:
        self._schema = schema
        self._models: dict[str, _Schema] = schema["$defs"]
        self._paths: dict[str, str] = {}  # by model: the first path at which it stands
        self._first: dict[str, str] = {}  # by model: the first of the models that may stand there
        self._order: list[str] = []
        self._visit(schema, "")

    def lines(self) -> Iterator[str]:
        """Every section, the top-level keys first."""
        yield from self._section("## The whole file", self._schema)
        for name in self._order:
            path = self._paths[name]
            depth = sum(not part.startswith("*") for part in path.split("."))
            yield from self._section(f"{'#' * min(1 + depth, 4)} `{path}`", self._models[name], self._first[name])

    def _visit(self, model: _Schema, path: str) -> None:
        """Note the path of every model below one, each model once, depth first."""
        for key, found in model.get("properties", {}).items():
            references = list(_references(found))
            for name, suffix in references:
                if name in self._paths:
                    continue
                below = f"{path}.{key}{suffix}" if path else key + suffix
                self._paths[name] = f"{below} ({_kind(self._models[name])})" if len(references) > 1 else below
                self._first[name] = references[0][0]
                self._order.append(name)
                self._visit(self._models[name], below)

    def _section(self, heading: str, model: _Schema, first: str = "") -> Iterator[str]:
        """A model with its keys; of several kinds of model the later ones with the keys in which they differ."""
        yield f"\n{heading}\n"
        if model is not self._schema and (text := model.get("description", "")):
            yield f"{_one_line(text)}\n"
        others = self._models[first]["properties"] if first and self._models[first] is not model else {}
        if others:
            yield f"The keys are those of [`{self._paths[first]}`](#{_anchor(self._paths[first])}), but for these:\n"
        yield "| key | type | default | meaning |"
        yield "|---|---|---|---|"
        tables = []
        for key, found in model.get("properties", {}).items():
            if found == others.get(key):
                continue
            cells = (f"`{key}`", self._type(found), self._default(key, found, model), _cell(self._meaning(found)))
            yield f"| {' | '.join(cells)} |"
            if rows := _named_defaults(found):
                tables.append((key, rows))
        for key, rows in tables:
            yield from _defaults_table(key, rows)

    def _meaning(self, found: _Schema) -> str:
        """What a key is for; where it does not say, what its model is."""
        model = self._models[_name(found["$ref"])] if "$ref" in found else {}
        return str(found.get("description") or model.get("description", ""))

    def _type(self, found: _Schema) -> str:
        """A type in words; a model as a link to its section."""
        if "$ref" in found:
            path = self._paths[_name(found["$ref"])]
            return f"[`{path}`](#{_anchor(path)})"
        if "const" in found:
            return f"`{found['const']}`"
        if "enum" in found:
            return " or ".join(f"`{value}`" if value else '`""`' for value in found["enum"])
        alternatives = found.get("anyOf", found.get("oneOf"))
        if alternatives:
            return " or ".join(self._type(item) for item in alternatives if item.get("type") != "null")
        return self._container(found) or _plain_type(found)

    def _container(self, found: _Schema) -> str:
        if found.get("type") == "array":
            items = found.get("prefixItems")
            return " and ".join(map(self._type, items)) if items else f"list of {self._type(found.get('items', {}))}"
        if found.get("type") == "object":
            values = found.get("additionalProperties")
            return f"map of name to {self._type(values)}" if isinstance(values, dict) else "map"
        return ""

    def _default(self, key: str, found: _Schema, model: _Schema) -> str:
        if key in model.get("required", []):
            return "needed"
        default = found.get("default")
        if "$ref" in found or _named_defaults(found):
            return "see there" if "$ref" in found else "see below"
        if default is None or default in ("", [], {}):
            return "–"
        return f"`{_cell(json.dumps(default, ensure_ascii=False))}`"


def _references(found: _Schema) -> Iterator[tuple[str, str]]:
    """The models that a key can hold, each with what follows the key in its path."""
    if "$ref" in found:
        yield _name(found["$ref"]), ""
    for alternative in [*found.get("anyOf", []), *found.get("oneOf", [])]:
        yield from _references(alternative)
    for part, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(found.get(part), dict):
            yield from ((name, suffix + rest) for name, rest in _references(found[part]))


def _kind(model: _Schema) -> str:
    """What tells a model from the others that may stand in its place: the only value of its key `kind`."""
    return str(model["properties"].get("kind", {}).get("const", model["title"]))


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _anchor(heading: str) -> str:
    """The anchor that is made of a heading, on this site as on GitHub."""
    return "".join(letter for letter in heading.lower() if letter.isalnum() or letter in "_- ").replace(" ", "-")


def _plain_type(found: _Schema) -> str:
    names = {"boolean": "`true` or `false`", "string": "text", "number": "number", "integer": "whole number"}
    limits = [f"{sign} {found[key]}" for key, sign in _LIMITS.items() if key in found]
    if found.get("format"):
        limits.append(found["format"])
    return " ".join([names.get(found.get("type", ""), "anything"), *([f"({', '.join(limits)})"] if limits else [])])


def _named_defaults(found: _Schema) -> dict[str, dict[str, Any]]:
    """The default of a map whose values are models, such as that of `cluster.tasks`."""
    default = found.get("default")
    if not isinstance(default, dict) or not isinstance(found.get("additionalProperties"), dict):
        return {}
    return default if default and all(isinstance(value, dict) for value in default.values()) else {}


def _defaults_table(key: str, rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    yield f"\nThe defaults of `{key}`:\n"
    yield f"| | {' | '.join(f'`{column}`' for column in columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, row in rows.items():
        yield f"| `{name}` | {' | '.join(_cell(str(row.get(column, ''))) for column in columns)} |"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    """A text that keeps within the cell of a table."""
    return _one_line(text).replace("|", "\\|")
