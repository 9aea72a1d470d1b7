"""Finds passages as they are written, blanks aside: those that runs of words cannot tell apart.

Brackets and sums have no words, and thousands of items may differ in such signs alone. Each passage
is looked for whole, by a window of eight of its bytes that few other passages have.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WINDOW = 8
"""Bytes that a passage is looked up by; a shorter one cannot be."""
_BLANKS = b" \t\n\v\f\r"
_OTHER_BLANKS = ("\u00a0", "\u202f", "\u2009", "\u200b", "\u3000")
_TABLE_BITS = 18
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def written_form(text: str) -> bytes:
    """A text without blanks, in UTF-8; case and punctuation stay."""
    for blank in _OTHER_BLANKS:
        if blank in text:  # found out in less time than replacing none
            text = text.replace(blank, "")
    return text.encode("utf-8", "replace").translate(None, _BLANKS)


@dataclass(frozen=True)
class WrittenPassage:
    """One passage to look for."""

    text: str
    set_number: int


class WrittenPassages:
    """Passages by a window of each."""

    def __init__(self, passages: Sequence[WrittenPassage]) -> None:
        """Of equal ones the first counts; each has `WINDOW` bytes or more."""
        forms: dict[bytes, WrittenPassage] = {}
        for passage in passages:
            forms.setdefault(written_form(passage.text), passage)
        windows = [_windows(form) for form in forms]
        every, counts = np.unique(
            np.concatenate([*windows, np.zeros(0, dtype=np.uint64)]), return_counts=True
        )
        self._by_window: dict[int, list[tuple[int, bytes, WrittenPassage]]] = defaultdict(list)
        self._table = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)
        for (form, passage), own in zip(forms.items(), windows, strict=True):
            place = int(np.argmin(counts[np.searchsorted(every, own)]))
            self._by_window[int(own[place])].append((place, form, passage))
            self._table[_places(own[place : place + 1])] = True

    def __len__(self) -> int:
        return sum(map(len, self._by_window.values()))

    def find(self, text: str) -> Iterator[WrittenPassage]:
        """Each place of a text where a passage stands, in order."""
        if not self._by_window:
            return
        form = written_form(text)
        if len(form) < WINDOW:
            return
        windows = _windows(form)
        likely = np.flatnonzero(self._table[_places(windows)])
        for at, window in zip(likely.tolist(), windows[likely].tolist(), strict=True):
            for place, wanted, passage in self._by_window.get(window, ()):
                if at >= place and form.startswith(wanted, at - place):
                    yield passage


def _windows(form: bytes) -> npt.NDArray[np.uint64]:
    """(N - 7,) the eight bytes that begin at each place, as a number; no copy."""
    return np.ndarray((len(form) - WINDOW + 1,), dtype="<u8", buffer=form, strides=(1,))


def _places(windows: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    spread = (windows * _SPREAD) >> np.uint64(64 - _TABLE_BITS)
    return spread.view(np.int64)
