"""Numbers of each text block of a scanned page in Python: what html_features.c does.

Whole numbers only, so both give the same; shares are per mille, rounded down. "Good" text stands in
long blocks of sentences with few links, outside comments; a core is the deepest element that holds
most of it.
"""

import numpy as np
import numpy.typing as npt

from data_pipeline.native.html_names import GROUPS, MARKS, SIDE_GROUPS, SIDE_MARKS, TAG_IDS

Int64s = npt.NDArray[np.int64]
Columns = list[Int64s]

FAR = 16
MOST = 1 << 20
GOOD_CHARS = 60
GOOD_LINKS = 300
LEVELS = 5
TITLE_BYTES = 300
_COMMENT = list(GROUPS).index("comment")
CORES = (51, 75)
WINDOWS = (5, 12)

_OWN = (
    *("chars", "words", "commas", "sentences", "digits", "uppers", "links_share", "links", "lines"),
    *("strong", "images", "fields", "split", "symbols", "first", "last", "word_length"),
)
_PLACE = ("tag", "tag_1", "tag_2", "index", "index_back", "place", "chars_before", "depth")
_CONTAINER = ("blocks", "chars", "links_share", "good_share", "mean_chars", "sentences")
_CORE = (
    *("place", "depth", "chars_away", "from_start", "from_end", "branch_blocks", "branch_chars"),
    *("branch_links_share", "branch_good_share", "branch_tag", "links_share", "blocks"),
)
FEATURES = (
    *_OWN,
    *_PLACE,
    *(
        f"up_{level}_{name}"
        for level in range(LEVELS)
        for name in (*_CONTAINER, *(("place",) if level == 2 else ()))
    ),
    *(f"group_{name}" for name in GROUPS),
    *(f"mark_{name}" for name in MARKS),
    *("weight", "weight_sum", "weight_low", "weight_high"),
    *("path_blocks", "path_chars", "path_links_share", "path_mean_chars"),
    *(f"path_elements_{level}" for level in range(4)),
    *("same_text", "in_title"),
    *(
        f"{side}_{name}"
        for side in ("previous", "next")
        for name in ("chars", "links_share", "tag", "same_path", "same_parent")
    ),
    *(f"window_{width}_{name}" for width in WINDOWS for name in ("links_share", "good")),
    *("page_blocks", "page_chars", "page_good", "page_good_share", "page_links_share"),
    *("page_elements", "page_articles", "page_paragraphs", "page_longest"),
    *("since_h1", "since_heading", "heading_level", "since_title", "from_first_h1", "num_h1"),
    *("since_good", "until_good"),
    *(f"core_{share}_{name}" for share in CORES for name in _CORE),
)
"""Names of the columns, in their order."""


class Twin:
    """The columns of one page."""

    def __init__(
        self,
        text: bytes,
        title: bytes,
        blocks: npt.NDArray[np.int32],
        elements: npt.NDArray[np.int32],
    ) -> None:
        """Take a scan; `title` in lower case."""
        self.blocks = blocks.astype(np.int64).T
        self.elements = elements.astype(np.int64).T
        self.num_blocks, self.num_elements = len(blocks), len(elements)
        ends = zip(blocks[:, 0].tolist(), blocks[:, 1].tolist(), strict=True)
        self.texts = [text[start:end] for start, end in ends]
        self.title = title
        self.own = self.blocks[2]
        self.index = np.arange(self.num_blocks)
        chars, links, sentences = self.blocks[3], self.blocks[9], self.blocks[6]
        self.links_share = _per_mille(links, chars)
        self.in_title = np.array([self._is_in_title(text) for text in self.texts], np.int64)
        self.holds_anchor = self._anchor_holders()
        is_good = (
            ~self._comments()[self.own]
            & (chars >= GOOD_CHARS)
            & (self.links_share < GOOD_LINKS)
            & (sentences > 0)
        )
        self.is_good = is_good
        self.chars_to, self.links_to = _sums(chars), _sums(links)
        self.sentences_to, self.good_to = _sums(sentences), _sums(np.where(is_good, chars, 0))

    def matrix(self) -> npt.NDArray[np.int32]:
        """(blocks, FEATURES) int32."""
        columns = [
            *self._of_its_own(),
            *self._containers(),
            *self._distances(),
            *self._repetition(),
            *self._neighbour(-1),
            *self._neighbour(1),
            *self._windows(),
            *self._page(),
            *self._order(),
            *(column for share in CORES for column in self._core(share)),
        ]
        return np.clip(np.stack(columns, axis=1), -MOST, MOST).astype(np.int32)

    def _is_in_title(self, text: bytes) -> bool:
        return 4 <= len(text) <= TITLE_BYTES and text.lower() in self.title

    def _anchor_holders(self) -> npt.NDArray[np.bool_]:
        """Elements that hold the page's heading: its first h1, else the first text in its title."""
        is_anchor = self.elements[1][self.own] == TAG_IDS["h1"]
        if not is_anchor.any():
            is_anchor = self.in_title > 0
        if not is_anchor.any():
            return np.zeros(self.num_elements, np.bool_)
        anchor = int(np.argmax(is_anchor))
        holders: npt.NDArray[np.bool_] = (self.elements[3] <= anchor) & (anchor < self.elements[4])
        return holders

    def _comments(self) -> npt.NDArray[np.bool_]:
        """Elements of readers' comments: named so, or below; none that holds the page's heading."""
        parents = self.elements[0]
        is_comment: npt.NDArray[np.bool_] = (
            self.elements[7] >> _COMMENT & 1 > 0
        ) & ~self.holds_anchor
        is_comment[0] = False
        for number in range(1, self.num_elements):
            is_comment[number] |= is_comment[parents[number]]
        return is_comment

    def _links_between(self, first: Int64s, end: Int64s) -> Int64s:
        return _per_mille(
            self.links_to[end] - self.links_to[first], self.chars_to[end] - self.chars_to[first]
        )

    def _good_between(self, first: Int64s, end: Int64s) -> Int64s:
        return _per_mille(self.good_to[end] - self.good_to[first], self.good_to[-1])

    def _of_its_own(self) -> Columns:
        rows = self.blocks
        chars = rows[3]
        tags, parents = self.elements[1], self.elements[0]
        above = parents[self.own]
        return [
            *(chars, rows[4], rows[5], rows[6], _per_mille(rows[7], chars)),
            *(_per_mille(rows[8], chars), self.links_share, rows[10], rows[11]),
            *(_per_mille(rows[12], chars), rows[13], rows[14], rows[15], rows[16]),
            *(rows[19], rows[20], chars * 10 // np.maximum(rows[4], 1)),
            *(tags[self.own], tags[above], tags[parents[above]]),
            *(self.index, self.num_blocks - 1 - self.index, self.index * 1000 // self.num_blocks),
            *(_per_mille(self.chars_to[:-1], self.chars_to[-1]), self.elements[5][self.own]),
        ]

    def _containers(self) -> Columns:
        columns: Columns = []
        element = self.own
        for level in range(LEVELS):
            first, end = self.elements[3][element], self.elements[4][element]
            chars = self.chars_to[end] - self.chars_to[first]
            columns += [end - first, chars, self._links_between(first, end)]
            columns += [self._good_between(first, end), chars // np.maximum(end - first, 1)]
            columns.append(self.sentences_to[end] - self.sentences_to[first])
            if level == 2:
                columns.append(self.index - first)
            element = self.elements[0][element]
        return columns

    def _distances(self) -> Columns:
        parents, weights = self.elements[0], self.elements[8]
        groups = np.where(self.holds_anchor, self.elements[7] & ~SIDE_GROUPS, self.elements[7])
        marks = np.where(self.holds_anchor, self.elements[2] & ~SIDE_MARKS, self.elements[2])
        bits = np.concatenate([_bits(groups, len(GROUPS)), _bits(marks, len(MARKS))], axis=1)
        far = np.full(bits.shape, FAR)
        far[0] = np.where(bits[0], 0, FAR)
        total, low, high = weights.copy(), weights.copy(), weights.copy()
        low[0] = high[0] = 0
        for number in range(1, self.num_elements):
            parent = parents[number]
            far[number] = np.where(bits[number], 0, np.minimum(far[parent] + 1, FAR))
            total[number] += total[parent]
            low[number] = min(low[number], low[parent])
            high[number] = max(high[number], high[parent])
        near = np.minimum(far[self.own] + 1, FAR)
        inline = _bits(self.blocks[17], len(GROUPS))
        near[:, : len(GROUPS)] = np.where(inline, 0, near[:, : len(GROUPS)])
        inline_weight = self.blocks[18]
        return [
            *near.T,
            *(weights[self.own] + inline_weight, total[self.own] + inline_weight),
            *(low[self.own], high[self.own]),
        ]

    def _repetition(self) -> Columns:
        paths = self.elements[6]
        own = paths[self.own]
        count = np.bincount(own, minlength=self.num_elements)
        chars = _sums_by(own, self.blocks[3], self.num_elements)
        links = _sums_by(own, self.blocks[9], self.num_elements)
        columns = [count[own], chars[own], _per_mille(links[own], chars[own])]
        columns.append(chars[own] // np.maximum(count[own], 1))
        elements = np.bincount(paths, minlength=self.num_elements)
        element = self.own
        for _ in range(4):
            columns.append(elements[paths[element]])
            element = self.elements[0][element]
        times: dict[bytes, int] = {}
        for text in self.texts:
            times[text] = times.get(text, 0) + 1
        columns.append(np.array([times[text] for text in self.texts], np.int64))
        return [*columns, self.in_title]

    def _neighbour(self, step: int) -> Columns:
        other = self.index + step
        is_there = (other >= 0) & (other < self.num_blocks)
        other = np.clip(other, 0, self.num_blocks - 1)
        element = self.own[other]
        tags, paths, parents = self.elements[1], self.elements[6], self.elements[0]
        same_path = paths[element] == paths[self.own]
        same_parent = parents[element] == parents[self.own]
        return [
            np.where(is_there, self.blocks[3][other], -1),
            np.where(is_there, self.links_share[other], -1),
            np.where(is_there, tags[element], -1),
            (is_there & same_path).astype(np.int64),
            (is_there & same_parent).astype(np.int64),
        ]

    def _windows(self) -> Columns:
        columns: Columns = []
        for width in WINDOWS:
            first = np.maximum(self.index - width, 0)
            end = np.minimum(self.index + width + 1, self.num_blocks)
            columns.append(self._links_between(first, end))
            columns.append(self.good_to[end] - self.good_to[first])
        return columns

    def _page(self) -> Columns:
        tags = self.elements[1]
        chars, good = int(self.chars_to[-1]), int(self.good_to[-1])
        numbers = (
            *(self.num_blocks, chars, good, good * 1000 // max(chars, 1)),
            *(int(self.links_to[-1]) * 1000 // max(chars, 1), self.num_elements),
            int((tags == TAG_IDS["article"]).sum()),
            int((tags[self.own] == TAG_IDS["p"]).sum()),
            int(np.where(self.is_good, self.blocks[3], 0).max()),
        )
        return [np.full(self.num_blocks, number, np.int64) for number in numbers]

    def _order(self) -> Columns:
        tags = self.elements[1][self.own]
        is_h1 = tags == TAG_IDS["h1"]
        is_heading = (tags >= TAG_IDS["h1"]) & (tags <= TAG_IDS["h6"])
        heading = self._last(is_heading)
        first_h1 = int(np.argmax(is_h1))
        until = self.num_blocks - 1 - self._last(self.is_good[::-1])[::-1]
        is_ahead = self._last(self.is_good[::-1])[::-1] >= 0
        return [
            *(self._since(is_h1), self._since(is_heading)),
            np.where(heading >= 0, tags[np.maximum(heading, 0)], -1),
            *(self._since(self.in_title > 0), self.index - first_h1),
            np.full(self.num_blocks, int(is_h1.sum()), np.int64),
            *(self._since(self.is_good), np.where(is_ahead, until - self.index, -1)),
        ]

    def _last(self, is_one: npt.NDArray[np.bool_]) -> Int64s:
        """Place of the last one up to each block; -1 before the first."""
        return np.maximum.accumulate(np.where(is_one, self.index, -1))

    def _since(self, is_one: npt.NDArray[np.bool_]) -> Int64s:
        last = self._last(is_one)
        return np.where(last >= 0, self.index - last, -1)

    def _core(self, share: int) -> Columns:
        parents, tags, depths = self.elements[0], self.elements[1], self.elements[5]
        firsts, ends = self.elements[3], self.elements[4]
        good = self.good_to[ends] - self.good_to[firsts]
        total = int(self.good_to[-1])
        core = int(np.nonzero(good * 100 >= share * total)[0][-1]) if total else 0
        branch = np.full(self.num_elements, -1)
        for number in range(1, self.num_elements):
            parent = parents[number]
            branch[number] = number if parent == core else branch[parent]
        first, end = int(firsts[core]), int(ends[core])
        index, chars_to = self.index, self.chars_to
        place = np.where(index < first, index - first, np.where(index >= end, index - end + 1, 0))
        before = self.chars_to[:-1]
        away = np.where(
            index < first,
            before - chars_to[first],
            np.where(index >= end, before - chars_to[end], 0),
        )
        is_in = place == 0
        own = branch[self.own]
        there = np.maximum(own, 0)
        start, stop = firsts[there], ends[there]
        branch_columns = (
            *(stop - start, chars_to[stop] - chars_to[start], self._links_between(start, stop)),
            *(self._good_between(start, stop), tags[there]),
        )
        links = int(self.links_to[end] - self.links_to[first])
        return [
            *(place, np.where(is_in, depths[self.own] - depths[core], -1), away),
            *(np.where(is_in, index - first, -1), np.where(is_in, end - 1 - index, -1)),
            *(np.where(own >= 0, column, -1) for column in branch_columns),
            np.full(self.num_blocks, links * 1000 // max(int(chars_to[end] - chars_to[first]), 1)),
            np.full(self.num_blocks, end - first),
        ]


def _per_mille(part: Int64s, whole: Int64s) -> Int64s:
    share: Int64s = part * 1000 // np.maximum(whole, 1)
    return share


def _sums(values: Int64s) -> Int64s:
    """Sums over the values before each, and over all."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])


def _sums_by(groups: Int64s, values: Int64s, num_groups: int) -> Int64s:
    sums = np.zeros(num_groups, np.int64)
    np.add.at(sums, groups, values)
    return sums


def _bits(values: Int64s, count: int) -> npt.NDArray[np.bool_]:
    return (values[:, None] >> np.arange(count)) & 1 > 0
