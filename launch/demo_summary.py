"""What the demo shows at its end: figures, the loss curve, and the bar that a model has to pass."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np

from contracts.shard_reader import ShardReader
from contracts.shards import read_manifest

mpl.use("Agg")
from matplotlib import pyplot as plt

Series = list[tuple[int, float]]


def unigram_entropy(manifest_url: str) -> float:
    """Entropy of the distribution of single tokens in a split, in nats per token.

    The loss of the best model that looks at no context (Shannon 1948, section 7, zero-order text):
    a model above it has learnt nothing of the order of words.
    """
    manifest = read_manifest(manifest_url)
    counts = np.zeros(manifest.tokenizer.vocab_size, dtype=np.int64)
    for shard in manifest.shards:
        with ShardReader(manifest, shard) as reader:
            for row in range(reader.num_rows):
                tokens = reader.row(row)
                for position, length in zip(*_covered(reader, row), strict=True):
                    part = tokens[position : position + length]
                    counts += np.bincount(part, minlength=len(counts))
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _covered(reader: ShardReader, row: int) -> tuple[list[int], list[int]]:
    spans = reader.spans(row)
    return spans.positions.tolist(), spans.lengths.tolist()


@dataclass(frozen=True)
class DemoFigures:
    """What the demo measured."""

    seconds: float
    num_in: int
    """Documents read by the data job."""
    num_kept: int
    dropped: dict[str, dict[str, int]]
    """{stage: {reason: count}}"""
    loss: Series
    evaluations: dict[str, Series]
    tokens_per_second: Series
    entropy: float
    """Of single tokens, nats."""
    sample: str

    def rows(self) -> Iterator[tuple[str, str]]:
        """Name and value of each line of the summary."""
        share = self.num_kept / self.num_in
        yield "documents", f"{self.num_kept} of {self.num_in} kept ({share:.0%})"
        for stage, reasons in self.dropped.items():
            named = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
            yield f"  dropped by {stage}", named
        yield (
            "train loss",
            f"{self.loss[0][1]:.3f} → {self.loss[-1][1]:.3f} nats per token "
            f"over {self.loss[-1][0]} steps",
        )
        verdict = "passed" if self.loss[-1][1] < self.entropy else "NOT passed"
        yield (
            "unigram entropy",
            f"{self.entropy:.3f} nats: the bar for having learnt anything; {verdict}",
        )
        for name, series in self.evaluations.items():
            yield name, f"{series[0][1]:.3f} → {series[-1][1]:.3f}"
        rates = sorted(value for _, value in self.tokens_per_second)
        yield "tokens/s (median)", f"{rates[len(rates) // 2]:,.0f}" if rates else "none logged"
        yield "sample", self.sample.strip()
        yield "time", f"{self.seconds:.0f} s"


def draw_loss(figures: DemoFigures, path: Path) -> None:
    """The loss curves beside the unigram entropy, as PNG."""
    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120)
    axes.plot(*zip(*figures.loss, strict=True), label="train", linewidth=1.2, color="#2563eb")
    colours = ("#d97706", "#059669", "#7c3aed", "#db2777")
    for (name, series), colour in zip(
        sorted(figures.evaluations.items()), cycle(colours), strict=False
    ):
        label = name.removeprefix("eval/").removesuffix("/loss")
        axes.plot(
            *zip(*series, strict=True),
            label=f"held out: {label}",
            marker="o",
            markersize=3,
            linewidth=1,
            color=colour,
        )
    axes.axhline(
        figures.entropy, color="#6b7280", linestyle="--", linewidth=1, label="unigram entropy"
    )
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats per target token")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
