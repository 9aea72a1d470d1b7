"""How much of a text stood before in it: lines, paragraphs, n-grams of words.

The twin of native/text_ngrams.c; both give whole numbers of characters, divided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
TOP_NGRAMS = range(2, 5)
DUPLICATE_NGRAMS = range(5, 11)


def ratio(part: float, whole: float) -> float:
    """A part of a whole; 0 of nothing."""
    return part / whole if whole else 0.0


@dataclass(frozen=True)
class Repetition:
    """How much of a list of parts (lines, paragraphs) stood before in the same text."""

    parts_fraction: float
    """Repeated parts / parts."""
    characters_fraction: float
    """Characters in repeated parts / characters in parts."""


@dataclass(frozen=True)
class NgramRepetition:
    """Repetition of word n-grams, as fractions of the characters of all words, by n."""

    top: Mapping[int, float]
    """n = 2 to 4: characters covered by the most frequent n-gram; 0 where none stands twice."""
    duplicate: Mapping[int, float]
    """n = 5 to 10: characters covered by n-grams that stood before."""

    @staticmethod
    def of(covered: Mapping[int, int], num_word_characters: int) -> "NgramRepetition":
        """From the characters covered, by n."""
        whole = max(1, num_word_characters)
        return NgramRepetition(
            top={n: covered[n] / whole for n in TOP_NGRAMS},
            duplicate={n: covered[n] / whole for n in DUPLICATE_NGRAMS},
        )


def repetition(parts: Sequence[str]) -> Repetition:
    """Fractions of parts equal to an earlier one, by number and by characters; 0 of nothing."""
    seen: set[str] = set()
    num_repeated = characters = characters_repeated = 0
    for part in parts:
        characters += len(part)
        if part in seen:
            num_repeated += 1
            characters_repeated += len(part)
        else:
            seen.add(part)
    return Repetition(ratio(num_repeated, len(parts)), ratio(characters_repeated, characters))


def ngram_characters(word_ids: IntArray, lengths: IntArray) -> dict[int, int]:
    """Characters covered by the n-grams that `NgramRepetition` counts, for n = 2 to 10.

    An n-gram can stand twice only where the n-gram without its last word does, and only if that
    word stands twice too: each length looks only at the places the one before left over.

    Args:
        word_ids: (N,) equal words have equal ones, below N.
        lengths: (N,) characters of each word.
    """
    num_words = len(word_ids)
    covered = dict.fromkeys((*TOP_NGRAMS, *DUPLICATE_NGRAMS), 0)
    recurs = np.bincount(word_ids, minlength=1)[word_ids] > 1
    places = np.flatnonzero(recurs)
    groups = word_ids[places]
    for n in covered:
        places, groups = _kept(places + n <= num_words, places, groups)
        places, groups = _kept(recurs[places + n - 1], places, groups)
        if not len(places):
            break
        groups, counts, first = _grouped(groups * num_words + word_ids[places + n - 1])
        if counts.max() < 2:
            break
        first = places[first]
        if n in TOP_NGRAMS:
            counted = groups == _top(counts, first, n, lengths)
        else:
            counted = first[groups] < places
        covered[n] = _covered(places[counted], n, lengths)
        places, groups = _kept(counts[groups] > 1, places, groups)
    return covered


def _kept(condition: BoolArray, places: IntArray, groups: IntArray) -> tuple[IntArray, IntArray]:
    return places[condition], groups[condition]


def _grouped(keys: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """(N,) number of each key's group of equals, and (G,) size and (G,) lowest position of each."""
    order = np.argsort(keys)
    in_order = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]]))
    counts = np.diff(np.concatenate([starts, [len(keys)]]))
    groups = np.empty(len(keys), dtype=np.int64)
    groups[order] = np.repeat(np.arange(len(starts)), counts)
    return groups, counts, np.minimum.reduceat(order, starts)


def _top(counts: IntArray, first: IntArray, n: int, lengths: IntArray) -> int:
    """The most frequent n-gram; of equals the longest, then the earliest."""
    best = np.flatnonzero(counts == counts.max())
    ends = np.concatenate([[0], np.cumsum(lengths)])
    characters = ends[first[best] + n] - ends[first[best]]
    return int(best[np.lexsort((first[best], -characters))[0]])


def _covered(places: IntArray, n: int, lengths: IntArray) -> int:
    """Characters of the words inside n-grams at `places`, overlaps counted once."""
    change = np.zeros(len(lengths) + 1, dtype=np.int64)
    change[places] += 1  # a place stands once among places, so plain indexing adds right
    change[places + n] -= 1
    return int(lengths[np.cumsum(change[:-1]) > 0].sum())
