"""The text of evaluation sets, from files: JSONL in the usual shapes, any JSONL, plain text."""

import gzip
import json
import posixpath
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contracts import storage
from contracts.errors import DataError

ENDINGS = (".gz", ".jsonl", ".json", ".txt")


def name_of(url: str) -> str:
    """The set's name: that of its file without endings."""
    name = posixpath.basename(url)
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def passages_of(url: str, fields: Sequence[str]) -> Iterator[list[str]]:
    """Of each item the texts in which it may stand somewhere: its question with each answer.

    Args:
        url: a `.txt` file, whose paragraphs are items, or JSON lines; `.gz` is unpacked.
        fields: names of the fields that hold text, joined in this order; none: the shapes known
            (`query` + `choices`, `context_options` + `continuation`, `context` + `continuation` or
            `chain_of_thought` and `answer`).

    Raises:
        DataError: the file is missing, torn, or has no text where it should.
    """
    data = storage.read_bytes(url)
    try:
        text = (gzip.decompress(data) if url.endswith(".gz") else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{url} cannot be read: {error}; give UTF-8 text or JSON lines") from error
    if url.removesuffix(".gz").endswith(".txt"):
        for paragraph in text.split("\n\n"):
            if paragraph.strip():
                yield [paragraph]
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _passages(_item(line, f"{url}, line {number}"), fields, f"{url}, line {number}")


def _item(line: str, where: str) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is not JSON: {error}; give one object a line") from error
    if not isinstance(item, dict):
        raise DataError(f"{where} is a {type(item).__name__}, expected an object")
    return item


def _passages(item: Mapping[str, Any], fields: Sequence[str], where: str) -> list[str]:
    if fields:
        found = [" ".join(text for name in fields for text in _strings(item.get(name)))]
    elif "query" in item:
        found = [f"{item['query']} {text}" for text in _strings(item.get("choices")) or [""]]
    elif "context_options" in item:
        found = [f"{text} {item.get('continuation', '')}" for text in item["context_options"]]
    elif "context" in item:
        rest = [*_strings(item.get("chain_of_thought"))]
        rest += _strings(item.get("continuation")) or _strings(item.get("answer"))
        found = [" ".join([*_strings(item["context"]), *rest])]
    else:
        found = []
    if not any(text.strip() for text in found):
        wanted = f"no text in {list(fields)}" if fields else "none of the shapes known"
        raise DataError(
            f"{where} has the fields {sorted(item)}: {wanted}; name the fields that hold text in "
            "filters.decontamination.fields"
        )
    return found


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []
