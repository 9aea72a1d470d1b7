"""Steps that read one part of sorted rows and write what meets there.

`repeats`: documents whose id or address came before; `same_texts`: those with an equal digest or
equal values; `candidates`: pairs that share a band; `large_star` and `small_star`: rounds that
gather links into clusters; `stars`: the links of the last round, for those who look them up.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from data_pipeline.dedup.matching import (
    EDGE,
    Buckets,
    both_directions,
    distinct_rows,
    large_star,
    small_star,
    with_first,
)
from data_pipeline.dedup.rows import NODE, Rows, is_before, numbers_of
from data_pipeline.progress import ProgressFile
from data_pipeline.stages.search_rows import (
    BAND_COLUMNS,
    BY_ID,
    FOUND_COLUMNS,
    ID_COLUMNS,
    REPEAT_COLUMNS,
    TEXT_KEY_COLUMNS,
    node_ids,
)
from data_pipeline.stages.search_task import SearchTask
from data_pipeline.stages.task import Outcome

PAIR_COLUMNS = 2
_U = np.uint64


def repeats(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Of documents with one id, or one address, all but the first: (number, kind, kept node)."""
    del progress
    with task.writers(("repeats", REPEAT_COLUMNS, task.by_block)) as [writer]:
        for rows, firsts in with_first(task.pieces("rows", ID_COLUMNS), 2):
            node, kept = rows[:, -NODE:], firsts[:, -NODE:]
            is_repeat = _is_new(task, node) & (rows != firsts).any(axis=1)
            # Of records of one id at one address the id decides, whichever was fetched last.
            is_other = (node_ids(node) != node_ids(kept)).any(axis=1)
            is_repeat &= (rows[:, 1] & _U(1) == BY_ID) | is_other
            kind = rows[is_repeat, 1] & _U(1)
            found = [numbers_of(node[is_repeat])[:, None], kind[:, None], kept[is_repeat]]
            writer.add(np.concatenate(found, axis=1))
        num_rows = writer.num_rows
    return Outcome((task.path("repeats"),), {"num_rows": num_rows})


def same_texts(task: SearchTask, progress: ProgressFile) -> Outcome:
    """New documents whose text came before: links to the first, and (number, kind)."""
    del progress
    wanted = ("links", EDGE, task.by_node), ("found", FOUND_COLUMNS, task.by_block)
    with task.writers(*wanted) as [links, found]:
        for rows, firsts in with_first(task.pieces("rows", TEXT_KEY_COLUMNS), 2):
            node, kept = rows[:, -NODE:], firsts[:, -NODE:]
            is_repeat = _is_new(task, node) & (rows != firsts).any(axis=1)
            edges = np.concatenate([node[is_repeat], kept[is_repeat]], axis=1)
            links.add(both_directions(edges))
            kind = rows[is_repeat, 1] & _U(1)
            found.add(np.stack([numbers_of(node[is_repeat]), kind], axis=1))
        num_rows = found.num_rows
    return Outcome((task.path("links"), task.path("found")), {"num_rows": num_rows})


def candidates(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Pairs of numbers that share a band, the lower first."""
    del progress
    buckets = Buckets(task.dedup.max_comparisons, task.layout.first_new)
    with task.writers(("pairs", PAIR_COLUMNS, task.by_block)) as [writer]:
        for rows in task.pieces("rows", BAND_COLUMNS):
            for pairs in buckets.pairs(rows):
                writer.add(pairs)
        num_rows = writer.num_rows
    return Outcome((task.path("pairs"),), {"num_rows": num_rows})


def large_star_round(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Link what is above each node to the lowest of its neighbourhood."""
    del progress
    return _star_round(task, large_star, lambda links: links)


def small_star_round(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Link what is below each node to the lowest of its neighbourhood."""
    del progress
    return _star_round(task, small_star, both_directions)


def _star_round(
    task: SearchTask,
    star: Callable[[Iterable[Rows]], Iterator[tuple[Rows, int]]],
    written: Callable[[Rows], Rows],
) -> Outcome:
    num_moved = 0
    with task.writers(("links", EDGE, task.by_node)) as [writer]:
        for links, moved in star(task.pieces("links", EDGE)):
            writer.add(written(links))
            num_moved += moved
        num_rows = writer.num_rows
    return Outcome((task.path("links"),), {"num_rows": num_rows, "num_moved": num_moved})


def stars(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Numbers of the kept document and of the other, of each link of the last round."""
    del progress
    with task.writers(("pairs", PAIR_COLUMNS, task.by_block)) as [writer]:
        for rows in distinct_rows(task.pieces("links", EDGE)):
            node, kept = rows[:, :NODE], rows[:, NODE:]
            pairs = np.stack([numbers_of(kept), numbers_of(node)], axis=1)
            writer.add(pairs[is_before(kept, node)])
        num_rows = writer.num_rows
    return Outcome((task.path("pairs"),), {"num_rows": num_rows})


def _is_new(task: SearchTask, node: Rows) -> npt.NDArray[np.bool_]:
    return numbers_of(node) >= _U(task.layout.first_new)
