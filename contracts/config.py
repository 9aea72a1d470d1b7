"""Typed configuration: a YAML file and dotted overrides become one frozen, validated object.

YAML text -> overrides (`section.field=value`) -> pydantic in strict JSON mode. The YAML read here
is
version 1.2's core schema: `no` is a string, `3e-4` is a float, a duplicate key is an error. A list
whose
elements carry a `kind` (or `name`) is addressed by it: `filters.gopher_quality.min_words=40`.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import ConfigError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
ConfigT = TypeVar("ConfigT", bound="Config")


class Config(BaseModel):
    """Base of every section: unknown fields are errors, values never change after loading."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class _Yaml12Loader(yaml.SafeLoader):
    """YAML 1.2 core scalars only, duplicate keys refused."""


class _Yaml12Dumper(yaml.SafeDumper):
    """Quotes every string that YAML 1.2 or 1.1 would read as something else."""


_Yaml12Loader.yaml_implicit_resolvers = {}
_SCALARS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", (*"~nN", "")),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    (
        "tag:yaml.org,2002:int",
        r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
        tuple("-+0123456789"),
    ),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        tuple("-+.0123456789"),
    ),
)
for _tag, _pattern, _first in _SCALARS:
    for _reader_or_writer in (_Yaml12Loader, _Yaml12Dumper):
        _reader_or_writer.add_implicit_resolver(
            _tag, re.compile(rf"(?:{_pattern})\Z"), list(_first)
        )


def _int(loader: yaml.Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)


def _place(node: yaml.Node) -> str:
    mark = node.start_mark
    return f"{mark.name}, line {mark.line + 1}"


def _mapping(loader: yaml.Loader, node: yaml.MappingNode) -> dict[str, Json]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise ConfigError(f"{_place(key_node)}: key {key!r} is not a string; quote it")
        if key in seen:
            raise ConfigError(f"{_place(key_node)}: key {key!r} stands twice; remove one")
        seen.add(key)
    return {str(key): value for key, value in loader.construct_mapping(node, deep=True).items()}


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # PyYAML writes these three as line ends, which reading folds to blanks, unless double-quoted.
    style = '"' if any(c in value for c in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Yaml12Dumper.add_representer(str, _string)
_Yaml12Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Yaml12Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_yaml(text: str, *, where: str) -> Json:
    """The value of a YAML 1.2 text.

    Raises:
        ConfigError: the text is not YAML, or holds a duplicate or non-string key.
    """
    try:
        loader = _Yaml12Loader(text)
        loader.name = where  # what places in messages are called
        value = loader.get_single_data()
        json.dumps(value, allow_nan=True)
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid YAML: {error}") from error
    plain: Json = value
    return plain


def load_config(cls: type[ConfigT], path: str | Path, overrides: Sequence[str] = ()) -> ConfigT:
    """The validated config of a YAML file with `section.field=value` overrides applied.

    Raises:
        ConfigError: the file cannot be read, or a value does not fit; names the path of each field.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"config {path} cannot be read: {error.strerror}; check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config {path} is not UTF-8: {error}; save it as UTF-8") from error
    tree = parse_yaml(text, where=str(path))
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"config {path} holds a {type(tree).__name__}, expected `section:` entries"
        )
    for override in overrides:
        apply_override(tree, override)
    return validated(cls, tree, where=str(path))


def validated(cls: type[ConfigT], tree: Json, *, where: str) -> ConfigT:
    """`tree` as `cls`, strictly: no number from a string, no float for an int.

    Raises:
        ConfigError: one line for each wrong field.
    """
    try:
        return cls.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        places = [item["loc"] for item in found]
        # A list whose items are wrong is called too short as well.
        wrong = [
            item
            for item in found
            if item["type"] != "too_short"
            or not any(
                len(place) > len(item["loc"]) and place[: len(item["loc"])] == item["loc"]
                for place in places
            )
        ]
        lines = [f"{where}: {len(wrong)} wrong value(s)"]
        for item in wrong:
            place = ".".join(str(part) for part in item["loc"]) or "(whole file)"
            given = json.dumps(item["input"], default=str)
            shown = given if len(given) <= 80 else given[:77] + "..."
            lines.append(f"  {place}: {item['msg']} (given: {shown})")
        raise ConfigError("\n".join(lines)) from error


def apply_override(tree: dict[str, Json], override: str) -> None:
    """Set one `a.b.c=value` in a config tree, in place; value is parsed as YAML.

    Raises:
        ConfigError: no `=`, or the path leads through something that has no such part.
    """
    dotted, separator, text = override.partition("=")
    keys = dotted.split(".")
    if not separator or not all(keys):
        raise ConfigError(f"override {override!r} is not of the form section.field=value")
    value = parse_yaml(text, where=f"override {override!r}")
    place: Json = tree
    for depth, key in enumerate(keys[:-1]):
        place = _descend(
            place, key, where=f"override {override!r} at {'.'.join(keys[: depth + 1])}"
        )
    if isinstance(place, list):
        place[_index_in(place, keys[-1], where=f"override {override!r}")] = value
    elif isinstance(place, dict):
        place[keys[-1]] = value
    else:
        raise ConfigError(
            f"override {override!r}: {'.'.join(keys[:-1])} is {place!r}, not a section"
        )


def _descend(place: Json, key: str, *, where: str) -> Json:
    if isinstance(place, list):
        return place[_index_in(place, key, where=where)]
    if isinstance(place, dict):
        if place.get(key) is None:
            place[key] = {}
        return place[key]
    raise ConfigError(f"{where}: {place!r} is not a section")


def _index_in(items: list[Json], key: str, *, where: str) -> int:
    if key.isdigit() and int(key) < len(items):
        return int(key)
    names = [
        (item.get("name"), item.get("kind")) if isinstance(item, dict) else (None, None)
        for item in items
    ]
    found = [i for i, pair in enumerate(names) if key in pair]
    if len(found) != 1:
        known = ", ".join(str(name or kind) for name, kind in names)
        raise ConfigError(
            f"{where}: {len(found)} elements are called {key!r}; there are: {known} "
            "(or use a position)"
        )
    return found[0]


def as_tree(config: Config) -> dict[str, Json]:
    """The resolved config as plain JSON values."""
    tree: dict[str, Json] = config.model_dump(mode="json")
    return tree


def to_yaml(config: Config) -> str:
    """The resolved config as YAML that `load_config` reads back to an equal object."""
    text: str = yaml.dump(
        as_tree(config), Dumper=_Yaml12Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text


def fingerprint(value: Config | Json) -> str:
    """sha256 (hex) of the canonical JSON of a config: the identity of what it makes."""
    tree = as_tree(value) if isinstance(value, Config) else value
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
