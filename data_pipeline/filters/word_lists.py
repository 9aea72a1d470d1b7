"""Lists of words to look for in a text, ready for both ways of counting."""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data_pipeline.native.code_points import code_points
from data_pipeline.native.text_stats import ListedWords


class WordLists:
    """Some lists of lower-case words, which may share words."""

    def __init__(self, lists: Sequence[Collection[str]]) -> None:
        self._lists = [frozenset(words) for words in lists]
        self._words = sorted(frozenset().union(*self._lists))

    def most_hits(self, present: Collection[str]) -> int:
        """Different words of the list of which most are among `present`; 0 without a list."""
        return max((len(words.intersection(present)) for words in self._lists), default=0)

    @cached_property
    def listed(self) -> ListedWords:
        """The words of all lists, each once, for the compiled search."""
        ends = np.cumsum([0, *map(len, self._words)], dtype=np.int32)
        places = np.stack([ends[:-1], ends[1:]], axis=1)
        return ListedWords(code_points("".join(self._words)), np.ascontiguousarray(places))

    @cached_property
    def _is_in(self) -> npt.NDArray[np.int64]:
        rows = [[word in words for word in self._words] for words in self._lists]
        return np.array(rows, dtype=np.int64).reshape(len(self._lists), len(self._words))

    def most_marked(self, hits: npt.NDArray[np.uint8]) -> int:
        """`most_hits` from (W,) marks of the words of `listed`."""
        return int((self._is_in @ hits.astype(np.int64)).max(initial=0))
