"""Main text by a small learned model: one parse, text blocks, boosted trees over their numbers.

The page is parsed and written out again by Lexbor (resiliparse), scanned once for its text blocks,
and every block scored in bulk from whole numbers (length, links, place, containers, names of
classes, repetition, neighbours). Compiled helpers and their twins in Python give the same text. How
the model came to be stands in learned_model.md; nothing here trains.
"""

import html
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from resiliparse.parse.html import HTMLTree

from data_pipeline.extract.block_text import rendered
from data_pipeline.extract.page_shape import PageTooDeepError
from data_pipeline.extract.protocol import PageConfig
from data_pipeline.native.block_scores import Trees, block_scores
from data_pipeline.native.html_features import FEATURES, block_features
from data_pipeline.native.html_names import groups_of
from data_pipeline.native.html_scan import PageScanner, ScannedPage

MODEL_PATH = Path(__file__).with_name("learned_model.json")
SCHEMA_VERSION = 1
SHORT_CHARS = 300
ARTICLE_BODY = '"articleBody"'
_ARTICLE_BODY = re.compile(r'"articleBody"\s*:\s*("(?:[^"\\]++|\\.)*+")')
_TAGS = re.compile(r"<[^<>]*>")
Nodes = list[list[int]]
"""Of one tree: feature, threshold, left, right."""


class LearnedConfig(PageConfig):
    """Main text by the learned model."""

    kind: Literal["learned"] = "learned"

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found.

        Raises:
            PageTooDeepError: the parsed page nests deeper than `max_depth`.
        """
        return shipped_extractor().main_text(page, self.max_depth)


@dataclass(frozen=True, slots=True)
class BlockModel:
    """Trees over FEATURES; a block whose score is above `threshold` is main text."""

    trees: Trees
    threshold: int
    short_threshold: int
    """What counts instead where less than SHORT_CHARS would be found."""


class BlockExtractor:
    """Pages to main text with one model."""

    def __init__(self, model: BlockModel, *, is_native: bool = True) -> None:
        """Take a model; `is_native=False` takes the twins in Python."""
        self._model = model
        self._is_native = is_native
        self._scanner = block_scanner(is_native=is_native)

    def main_text(self, page: str, max_depth: int) -> str:
        """What the model takes for main text, in the plain-text convention of block_text."""
        scanned = self._scanner.scan(serialised(page), max_depth)
        if scanned is None:
            raise PageTooDeepError(f"elements nest deeper than max_depth={max_depth}")
        text = rendered(scanned, self.kept(scanned)) if len(scanned.blocks) else ""
        if len(text) < SHORT_CHARS and ARTICLE_BODY in page:
            text = max(text, article_body(page), key=len)
        return text

    def kept(self, scanned: ScannedPage) -> npt.NDArray[np.bool_]:
        """(blocks,) bool: which blocks are main text."""
        rows = block_features(scanned, is_native=self._is_native)
        scores = block_scores(rows, self._model.trees, is_native=self._is_native)
        kept: npt.NDArray[np.bool_] = scores > self._model.threshold
        if int(scanned.blocks[kept, 3].sum()) < SHORT_CHARS:
            kept = scores > self._model.short_threshold
        return kept


def article_body(page: str) -> str:
    """The longest articleBody of the JSON-LD of a page that may hold its text nowhere else."""
    longest = ""
    for found in _ARTICLE_BODY.finditer(page):
        try:
            body = json.loads(found[1], strict=False)
        except ValueError:
            continue
        longest = max(longest, html.unescape(_TAGS.sub(" ", body)).strip(), key=len)
    return longest


def block_scanner(*, is_native: bool = True) -> PageScanner:
    """The scanner that the model's features come from."""
    return PageScanner({word: (bits, 0) for word, bits in groups_of().items()}, is_native=is_native)


def serialised(page: str) -> bytes:
    """The page as its parser understands it, balanced and quoted, in UTF-8."""
    document = HTMLTree.parse(page).document
    return b"" if document is None else document.html.encode("utf-8", "replace")


@cache
def shipped_extractor() -> BlockExtractor:
    """The extractor with the model of this release."""
    return BlockExtractor(read_model(MODEL_PATH))


def read_model(path: Path) -> BlockModel:
    """A model file.

    Raises:
        ValueError: the file is of another schema or names features that this code does not have.
    """
    tree = json.loads(path.read_text(encoding="utf-8"))
    if tree["schema_version"] != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: schema_version {tree['schema_version']}, this code reads {SCHEMA_VERSION}"
        )
    unknown = sorted(set(tree["features"]) - set(FEATURES))
    if unknown:
        raise ValueError(f"{path}: unknown features {unknown}; train the model again")
    trees = [(each["nodes"], each["leaves"]) for each in tree["trees"]]
    columns = [FEATURES.index(name) for name in tree["features"]]
    return BlockModel(
        trees_of(trees, columns), int(tree["threshold"]), int(tree["short_threshold"])
    )


def trees_of(trees: list[tuple[Nodes, list[int]]], columns: list[int]) -> Trees:
    """Trees, each its nodes and leaves, as one set of arrays.

    Args:
        trees: nodes are numbered from 0 in each tree, and name features by place in `columns`.
        columns: the column of FEATURES behind each of the model's features.
    """
    nodes: list[list[int]] = []
    leaves: list[int] = []
    roots: list[int] = []
    for tree_nodes, tree_leaves in trees:
        first_node, first_leaf = len(nodes), len(leaves)

        def child(number: int, node: int = first_node, leaf: int = first_leaf) -> int:
            return number + node if number >= 0 else ~(~number + leaf)

        for column, threshold, left, right in tree_nodes:
            nodes.append([columns[column], threshold, child(left), child(right)])
        roots.append(child(0) if tree_nodes else child(-1))
        leaves += tree_leaves
    return Trees(
        np.array(nodes, np.int32).reshape(-1, 4),
        np.array(leaves, np.int32),
        np.array(roots, np.int32),
        len(FEATURES),
    )
