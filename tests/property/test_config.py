"""Any config written as YAML is read back as it was."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.config import Config, load_config, to_yaml


class AnyConfig(Config):
    """A config that holds any JSON."""

    text: str = ""
    number: float = 0.0
    tree: dict[str, JsonValue] = {}  # noqa: RUF012 - frozen, and copied by pydantic


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        "no",
        "on",
        "1e3",
        "3e-4",
        "0x1F",
        "0o7",
        "010",
        "12:30",
        "1_0",
        "2026-11-23",
        "~",
        "",
        " ",
        "=",
        "<<",
        "-",
        ".5",
        "null",
        "a: b",
        "#",
        "- a",
        "\n",
        "a\n",
        "\ufeff",
        "\x85",
        "\u2028",
    ],
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | numbers | texts
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(
    st.builds(AnyConfig, text=texts, number=numbers, tree=st.dictionaries(texts, trees, max_size=3))
)
def test_a_config_written_is_read_back_equal(config: AnyConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(to_yaml(config), encoding="utf-8", newline="")
        assert load_config(AnyConfig, path) == config
