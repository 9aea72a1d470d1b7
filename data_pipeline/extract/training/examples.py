"""Pages as arrays to learn from: rows of features, votes and labels of each text block."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_pipeline.extract.learned import block_scanner, serialised
from data_pipeline.extract.training.labels import TEACHERS, VOTE_WEIGHTS, folded, gold_of, votes_of
from data_pipeline.extract.training.pages import Page
from data_pipeline.native.html_features import FEATURES, block_features

Floats = npt.NDArray[np.float64]
MAX_DEPTH = 2000
REACH = 2
"""How many blocks away a neighbour's votes count for the labeller."""
LEVELS = 3
SURE = 0.15
"""A mean vote this near to 0 or 1 is agreement."""
LABELLER_SHARE = (0.15, 0.8)
"""How much of a soft label the labeller has where teachers agree, and where not."""
GOLD_WEIGHT = 6.0
PLAIN_LINKS = 900
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Example:
    """One page.

    Attributes:
        page: the page itself.
        rows: (blocks, FEATURES) int32.
        context: (blocks, ...) what the labeller sees beside the rows: votes in and around a block.
        votes: (blocks, TEACHERS).
        lengths: (blocks,) characters.
        gold: (blocks,) 1 main text, 0 not, NaN unknown.
        gold_weights: (blocks,).
    """

    page: Page
    rows: npt.NDArray[np.int32]
    context: Floats
    votes: Floats
    lengths: Floats
    gold: Floats
    gold_weights: Floats

    def soft_labels(self, judged: Floats) -> Floats:
        """(blocks,) labels: gold, else votes mixed with what the labeller `judged`."""
        mean = self.votes[:, :4].mean(axis=1)
        agreed, disputed = LABELLER_SHARE
        share = np.where((mean < SURE) | (mean > 1 - SURE), agreed, disputed)
        mixed = share * judged + (1 - share) * (self.votes @ VOTE_WEIGHTS)
        return np.clip(np.where(np.isnan(self.gold), mixed, self.gold), 0, 1)

    def weights(self) -> Floats:
        """(blocks,) weights: long blocks and annotated ones count for more."""
        by_length: Floats = np.sqrt(np.minimum(self.lengths, 400) / 50) + 0.15
        return by_length + GOLD_WEIGHT * self.gold_weights

    def taken(self, labels: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Rows to learn from and their weights; of plain link lists every fifth, for five."""
        is_plain = self.rows[:, FEATURES.index("links_share")] >= PLAIN_LINKS
        is_plain &= (labels < 0.02) & np.isnan(self.gold)
        is_taken = ~is_plain | (np.arange(len(labels)) % 5 == 0)
        return is_taken, np.where(is_plain, 5 * self.weights(), self.weights())


def examples_of(pages: Iterable[Page]) -> list[Example]:
    """Examples of all pages that have any text; asking the teachers takes most of the time."""
    scanner = block_scanner()
    examples = []
    for number, page in enumerate(pages):
        scanned = scanner.scan(serialised(page.html), MAX_DEPTH)
        if scanned is None or not len(scanned.blocks):
            continue
        ends = scanned.blocks[:, :2].tolist()
        blocks = [folded(scanned.text[start:end].decode("utf-8", "replace")) for start, end in ends]
        votes = votes_of(page.html, blocks)
        lengths = np.array([len(block) for block in blocks], np.float64)
        context = _context(votes, lengths, scanned.blocks[:, 2], scanned.elements)
        gold, weights = gold_of(blocks, page.gold, votes)
        rows = block_features(scanned)
        examples.append(Example(page, rows, context, votes, lengths, gold, weights))
        if number % 100 == 0:
            logger.info("pages=%d blocks=%d", number, sum(len(each.rows) for each in examples))
    return examples


def _context(
    votes: Floats, lengths: Floats, own: npt.NDArray[np.int32], elements: npt.NDArray[np.int32]
) -> Floats:
    """Votes of a block, its neighbours, the elements around it, and the page."""
    padded = np.zeros((len(votes) + 2 * REACH, len(TEACHERS)))
    padded[REACH : REACH + len(votes)] = votes
    columns = [padded[step : step + len(votes)] for step in range(2 * REACH + 1)]
    chars = np.concatenate([np.zeros(1), np.cumsum(lengths)])
    wanted = np.concatenate([np.zeros(1), np.cumsum(votes.mean(axis=1) * lengths)])
    element = own
    for _ in range(LEVELS):
        first, end = elements[element, 3], elements[element, 4]
        share = (wanted[end] - wanted[first]) / np.maximum(chars[end] - chars[first], 1)
        columns.append(share[:, None])
        element = elements[element, 0]
    total = (votes * lengths[:, None]).sum(axis=0)
    columns.append(np.repeat(total[None, :], len(votes), axis=0))
    return np.concatenate(columns, axis=1)
