"""The examples of docs/formats.md run as they stand there."""

import re
from pathlib import Path

import pytest

from tests.datasets import make_dataset, make_tokenizer


def test_the_examples_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (root / "docs" / "formats.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 3
    make_dataset(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in examples:
        exec(example, names)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"https://web\.example/\d+ tokens \d+ to \d+ at 0", lines[0])
    assert any(re.search(r"^000000-\w{16} \(8, 33\) uint16 \d+ \d+$", line) for line in lines)
    assert names["tokenizer"].vocab_size() == make_tokenizer().spec.vocab_size  # type: ignore[attr-defined]
