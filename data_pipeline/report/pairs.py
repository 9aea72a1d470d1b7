"""Near duplicates side by side: what was dropped, and what it was taken to repeat."""

import difflib
import re
from collections.abc import Sequence
from html import escape

from data_pipeline.report.data import NearDuplicate

_WORD = re.compile(r"\s+|[^\s]+")


def near_duplicates(pairs: Sequence[NearDuplicate]) -> str:
    """Each pair as two columns, words that stand in one alone marked."""
    if not pairs:
        return ""
    shown = "".join(_pair(pair) for pair in pairs)
    return (
        '<h2>Near duplicates, side by side</h2><p class="quiet">Left what was dropped, right what '
        "stays; words that stand in one alone are marked. Only the beginnings are shown.</p>"
        f'<div class="card">{shown}</div>'
    )


def _pair(pair: NearDuplicate) -> str:
    dropped, kept = pair.dropped, pair.kept
    if kept is None:
        right = (
            '<div><p class="quiet">The kept document '
            f"{escape(str(dropped.value))} stands in the store of an earlier job.</p></div>"
        )
        left = f"<div><b>{escape(dropped.uri)}</b><pre>{escape(dropped.text)}</pre></div>"
        title = dropped.uri
    else:
        first, second = marked(dropped.text, kept.text)
        left = f"<div><b>{escape(dropped.uri)}</b><pre>{first}</pre></div>"
        right = f"<div><b>{escape(kept.uri)}</b><pre>{second}</pre></div>"
        title = f"{dropped.uri} = {kept.uri}"
    return (
        f"<details><summary>{escape(title)}</summary>"
        f'<div class="pair">{left}{right}</div></details>'
    )


def marked(left: str, right: str) -> tuple[str, str]:
    """Two texts as HTML, the words of each that the other has not in the same order marked."""
    first, second = _WORD.findall(left), _WORD.findall(right)
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    parts: tuple[list[str], list[str]] = ([], [])
    for kind, a, b, c, d in matcher.get_opcodes():
        for place, words in ((0, first[a:b]), (1, second[c:d])):
            text = escape("".join(words))
            parts[place].append(text if kind == "equal" or not text else f"<mark>{text}</mark>")
    return "".join(parts[0]), "".join(parts[1])
