"""Golden: the sample, the tokenizer, the rows and the shards of a fixed text.

Made from the checkout's root by `python -m tests.golden.test_tokens > tests/golden/tokens.json`, on
CPU (x86-64, Linux) with sentencepiece 0.2.3 and numpy 2.4.6. Tolerance: none. A change here is a
change of every dataset: review it as a diff, and raise `CODE_SCHEMA` of the ledger with it.
"""

import json
import sys
import tempfile
from pathlib import Path

from contracts.shard_reader import ShardReader
from contracts.shards import read_manifest
from tests.datasets import make_dataset, make_tokenizer

GOLDEN = Path(__file__).with_name("tokens.json")
TEXTS = (
    "river water stone, bridge 2026.\n\nmill wheel",
    "</s> <s> <unk> <0x0A>",
    "\t漢字 🎉 é\r\n",
)


def found(folder: Path) -> dict[str, object]:
    """What the code makes today."""
    tokenizer = make_tokenizer()
    manifest = read_manifest(str(make_dataset(folder, sources=("web", "books")) / "train"))
    with ShardReader(manifest, manifest.shards[0]) as reader:
        row = reader.row(5).tolist()
    return {
        "tokenizer_sha256": tokenizer.spec.sha256,
        "ids": {text: tokenizer.encode(text).tolist() for text in TEXTS},
        "row_5": row,
        "num_samples": manifest.num_samples,
        "shards": {shard.path: [shard.sha256, shard.index_sha256] for shard in manifest.shards},
    }


def test_tokens_and_shards_are_the_golden_ones(tmp_path: Path) -> None:
    assert found(tmp_path) == json.loads(GOLDEN.read_text(encoding="utf-8"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        sys.stdout.write(json.dumps(found(Path(name)), indent=1, ensure_ascii=False) + "\n")
