"""Config: YAML 1.2, overrides, strict values, and every refusal's message."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveInt

from contracts.config import Config, apply_override, as_tree, fingerprint, load_config, parse_yaml
from contracts.errors import ConfigError


class UrlConfig(Config):
    kind: Literal["url"] = "url"
    domains: tuple[str, ...] = ()


class WordsConfig(Config):
    kind: Literal["words"] = "words"
    name: str = "words"
    min_words: PositiveInt = 50


class InnerConfig(Config):
    rate: float = 0.5
    is_on: bool = True
    path: Path | None = None


class ExampleConfig(Config):
    size: PositiveInt = 8
    language: str = "en"
    inner: InnerConfig = InnerConfig()
    filters: tuple[Annotated[UrlConfig | WordsConfig, Field(discriminator="kind")], ...] = ()


def load(tmp_path: Path, text: str, *overrides: str) -> ExampleConfig:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(ExampleConfig, path, overrides)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("3e-4", 3e-4),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-1.", -1.0),
        ("12", 12),
        ("-3", -3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-11-23", "2026-11-23"),
        ("'12'", "12"),
        ("1.2.3", "1.2.3"),
        ("0x", "0x"),
        ("<<", "<<"),
        ("=", "="),
        ("[1, a]", [1, "a"]),
        ("{a: {b: no}}", {"a": {"b": "no"}}),
        ("a:", {"a": None}),
        ("- no", ["no"]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = parse_yaml(text, where="test")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"here, line 3: key 'a' stands twice; remove one"),
        ("a:\n  b: 1\n  b: 2", r"here, line 3: key 'b' stands twice"),
        ("1: a", r"here, line 1: key 1 is not a string; quote it"),
        ("null: a", r"key None is not a string"),
        ("? [a]\n: b", r"key \['a'\] is not a string"),
        ("a: [", r"here: not valid YAML: while parsing"),
        ("--- a\n--- b", r"here: not valid YAML: expected a single document"),
        ("!!python/object:os.system a", r"here: not valid YAML: could not determine a constructor"),
        ("!!timestamp 2026-11-23", r"here: not valid YAML: .*date is not JSON serializable"),
        ("!!int x", r"here: not valid YAML: invalid literal"),
        ("&a [*a]", r"here: not valid YAML: "),
        ("\x01", r"here: not valid YAML: "),
    ],
)
def test_other_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        parse_yaml(text, where="here")


def test_values_are_taken_strictly(tmp_path: Path) -> None:
    config = load(
        tmp_path, "size: 3\ninner: {path: /a/b, rate: 1}\nfilters: [{kind: url, domains: [x]}]"
    )
    assert config.inner.path == Path("/a/b")
    assert config.filters == (UrlConfig(domains=("x",)),)
    for value in ("true", "8.0", '"8"', "null"):
        with pytest.raises(ConfigError, match=r"size: Input should be a valid integer"):
            load(tmp_path, f"size: {value}")
    with pytest.raises(ConfigError, match=r"inner\.is_on: Input should be a valid boolean"):
        load(tmp_path, "inner: {is_on: 1}")
    for value in (".nan", ".inf", "-.inf"):
        with pytest.raises(ConfigError, match=r"inner\.rate: Input should be a finite number"):
            load(tmp_path, f"inner: {{rate: {value}}}")


def test_each_wrong_field_is_named_with_its_value(tmp_path: Path) -> None:
    text = "size: -1\ninner: {rte: 2}\nfilters: [{kind: words, min_words: 0}]\n"
    text += f"language: [{'x' * 99}]"
    with pytest.raises(ConfigError) as info:
        load(tmp_path, text)
    message = str(info.value)
    assert "config.yaml: 4 wrong value(s)" in message
    assert "size: Input should be greater than 0 (given: -1)" in message
    assert "inner.rte: Extra inputs are not permitted (given: 2)" in message
    assert "filters.0.words.min_words: Input should be greater than 0 (given: 0)" in message
    assert "xxx...)" in message


def test_overrides_come_after_the_file(tmp_path: Path) -> None:
    text = "filters: [{kind: url}, {kind: words, name: long}, {kind: words, name: short}]"
    config = load(
        tmp_path,
        text,
        "size=9",
        "inner.rate=3e-4",
        "language=no",
        "filters.url.domains=[a, b]",
        "filters.long.min_words=99",
        "filters.2.min_words=7",
        "size=10",
    )
    assert (config.size, config.inner.rate, config.language) == (10, 3e-4, "no")
    assert config.filters == (
        UrlConfig(domains=("a", "b")),
        WordsConfig(name="long", min_words=99),
        WordsConfig(name="short", min_words=7),
    )


def test_an_override_may_open_a_section_and_replace_a_list_element(tmp_path: Path) -> None:
    assert load(tmp_path, "inner:", "inner.rate=1").inner.rate == 1
    assert load(tmp_path, "", "inner.path=a=b").inner.path == Path("a=b")
    config = load(tmp_path, "filters: [{kind: url}]", "filters.url={kind: words}")
    assert config.filters == (WordsConfig(),)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("size", r"override 'size' is not of the form section\.field=value"),
        (".a=1", r"override '\.a=1' is not of the form"),
        ("a..b=1", r"override 'a\.\.b=1' is not of the form"),
        ("size.x=1", r"override 'size\.x=1': size is 8, not a section"),
        ("size.x.y=1", r"override 'size\.x\.y=1' at size\.x: 8 is not a section"),
        (
            "filters.words.name=1",
            r"2 elements are called 'words'; there are: url, a, b \(or use a position\)",
        ),
        ("filters.c4.x=1", r"at filters\.c4: 0 elements are called 'c4'; there are: url, a, b"),
        ("filters.7.x=1", r"at filters\.7: 0 elements are called '7'"),
        ("size=[", r"override 'size=\[': not valid YAML"),
    ],
)
def test_overrides_that_lead_nowhere_are_refused(override: str, message: str) -> None:
    tree = parse_yaml(
        "size: 8\nfilters: [{kind: url}, {kind: words, name: a}, {kind: words, name: b}]", where="t"
    )
    assert isinstance(tree, dict)
    with pytest.raises(ConfigError, match=message):
        apply_override(tree, override)


def test_files_that_hold_no_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"absent\.yaml cannot be read: No such file.*; check the path"
    ):
        load_config(ExampleConfig, tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load_config(ExampleConfig, tmp_path)
    with pytest.raises(
        ConfigError, match=r"config\.yaml holds a list, expected `section:` entries"
    ):
        load(tmp_path, "[1]")
    (tmp_path / "latin.yaml").write_bytes(b"language: \xe9")
    with pytest.raises(ConfigError, match=r"latin\.yaml is not UTF-8: .*; save it as UTF-8"):
        load_config(ExampleConfig, tmp_path / "latin.yaml")
    assert load(tmp_path, "") == ExampleConfig()


def test_configs_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ExampleConfig().size = 3


def test_fingerprint_depends_on_values_alone() -> None:
    config = ExampleConfig(language="漢")
    assert fingerprint(config) == fingerprint(as_tree(config))
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint(config) != fingerprint(ExampleConfig())
    assert len(fingerprint(None)) == 64
