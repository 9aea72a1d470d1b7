"""Labels of text blocks: annotated segments located in the blocks, and votes of other extractors.

A block that holds an annotated segment has the annotator's label. All others have a soft label: the
mean vote of trafilatura's four modes and of resiliparse, each being the share of the block found in
its text; where these disagree, mostly what a small model of votes and features (fitted to annotated
blocks of other folds) makes of them.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from data_pipeline.extract.resiliparse import ResiliparseConfig
from data_pipeline.extract.trafilatura import TrafilaturaConfig

Floats = npt.NDArray[np.float64]
TEACHERS: tuple[TrafilaturaConfig | ResiliparseConfig, ...] = (
    TrafilaturaConfig(mode="fast"),
    TrafilaturaConfig(mode="default"),
    TrafilaturaConfig(mode="precision"),
    TrafilaturaConfig(mode="recall"),
    ResiliparseConfig(),
)
VOTE_WEIGHTS = np.array([0.2, 0.25, 0.2, 0.2, 0.15])
LONG = 25
"""A block of so many characters is looked for in the whole text, a shorter one among its lines."""
SHINGLE_WORDS = 4
logger = logging.getLogger(__name__)


def folded(text: str) -> str:
    """Text on one line, with single blanks."""
    return " ".join(text.split())


def votes_of(html: str, blocks: Sequence[str]) -> Floats:
    """(blocks, TEACHERS) share of each folded block in each teacher's text."""
    votes = np.zeros((len(blocks), len(TEACHERS)))
    times = Counter(blocks)
    for number, teacher in enumerate(TEACHERS):
        try:
            text = teacher.main_text(html)
        except Exception as error:  # noqa: BLE001 - a teacher may fail; it then votes for nothing
            logger.warning("teacher=%s error=%r", teacher.kind, error)
            continue
        votes[:, number] = _shares(blocks, times, text)
    return votes


def _shares(blocks: Sequence[str], times: Mapping[str, int], text: str) -> list[float]:
    lines = Counter(
        folded(cell.strip(" -•*")) for line in text.split("\n") for cell in {line, *line.split("|")}
    )
    whole = f" {folded(text)} "
    words = whole.split()
    shingles = {tuple(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1)}
    shares = []
    for block in blocks:
        if len(block) < LONG:
            found = lines.get(block, 0) or (whole.count(f" {block} ") if len(block) >= 8 else 0)
            shares.append(min(1.0, found / times[block]))
        elif block in whole:
            shares.append(min(1.0, whole.count(block) / times[block]))
        else:
            own = block.split()
            parts = [tuple(own[i : i + SHINGLE_WORDS]) for i in range(len(own) - SHINGLE_WORDS + 1)]
            shares.append(sum(part in shingles for part in parts) / max(len(parts), 1))
    return shares


def gold_of(
    blocks: Sequence[str], gold: Mapping[str, Any] | None, votes: Floats
) -> tuple[Floats, Floats]:
    """(blocks,) annotators' labels, NaN where there is none, and their weights.

    Of several places of a wanted segment the one that teachers want most is taken; an unwanted
    segment that is a small part of a block which they want says nothing of the block.
    """
    labels, weights = np.full(len(blocks), np.nan), np.zeros(len(blocks))
    if gold is None or not blocks:
        return labels, weights
    joined = " ".join(blocks)
    ends = np.cumsum([len(block) + 1 for block in blocks])
    vote = votes[:, :3].mean(axis=1)
    for segment in map(folded, gold["without"]):
        places = _places(joined, segment, ends)
        for block in {block for place in places for block in place}:
            if len(segment) < 0.3 * len(blocks[block]) and vote[block] > 0.5:
                continue
            labels[block] = 0
            weights[block] += len(places) ** -0.5
    for segment in map(folded, gold["with"]):
        places = _places(joined, segment, ends)
        if places:
            best = max(places, key=lambda place: (vote[list(place)].mean(), -place[0]))
            labels[list(best)] = 1
            weights[list(best)] += 1
    return labels, np.minimum(weights, 1.5)


def _places(joined: str, segment: str, ends: npt.NDArray[np.int64]) -> list[range]:
    """The blocks that each of a segment's first 50 places touches."""
    places: list[range] = []
    at = joined.find(segment)
    while at >= 0 and len(places) < 50:
        first = int(np.searchsorted(ends, at, "right"))
        last = int(np.searchsorted(ends, at + len(segment) - 1, "right"))
        places.append(range(first, min(last, len(ends) - 1) + 1))
        at = joined.find(segment, at + 1)
    return places
