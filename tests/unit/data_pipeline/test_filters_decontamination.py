"""Text of evaluation sets is found in documents, in every shape, and nothing else is."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from contracts.errors import ConfigError, DataError
from data_pipeline.filters import DecontaminationConfig, FilterChain, sections_identity
from data_pipeline.filters.chain import Judgement
from data_pipeline.filters.table_verdicts import table_verdicts
from data_pipeline.normal_text import normalized, split_unspaced
from data_pipeline.records import Document, Origin

WORDS = [f"word{i}" for i in range(400)]
PROSE = "The river rises in the hills, runs past the old town and then down to the sea. "


def words(start: int, number: int) -> str:
    return " ".join(WORDS[start : start + number])


ITEMS = {
    "choice": {"query": words(0, 20), "choices": ["yes", "no"], "gold": 0},
    "schema": {"context_options": [words(20, 5), words(30, 5)], "continuation": words(40, 10)},
    "ending": {"context": words(50, 30), "continuation": "done"},
    "maths": {"context": words(100, 9), "chain_of_thought": words(110, 9), "answer": "7"},
    "short": {"context": words(120, 8), "answer": words(130, 2)},
    "tiny": {"context": words(140, 2), "answer": "no"},
    "brackets": {"context": "[ < { } > ] ( ( ) ) { }\nOutput:", "continuation": "} >"},
    "sums": {"context": "714+432+348-120-7=", "continuation": "1367"},
    "small_sum": {"context": "25+7=", "continuation": "32"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, item in ITEMS.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(item) + "\n\n")
    return tmp_path


def judged(config: DecontaminationConfig, text: str, language: str = "en") -> Judgement:
    document = Document("d", "web", "", text, Origin("f", 0), language=language)
    return FilterChain([config]).judge(document)


@pytest.mark.parametrize(
    ("planted", "eval_set"),
    [
        (words(0, 20), "choice"),
        (words(5, 13).upper().replace(" ", ",\n"), "choice"),
        (words(5, 12), None),
        (f"{words(30, 5)} {words(40, 10)}", "schema"),
        (f"{words(20, 5)} - {words(40, 10)}", "schema"),
        (words(60, 13), "ending"),
        (f"{words(100, 9)}? {words(110, 9)}", "maths"),
        (f"{words(120, 8)} {words(130, 2)}", "short"),
        (words(120, 8), None),
        (f"{words(140, 2)} no", None),
        ("[ < {  } > ] (\n( ) )\u00a0{ } Output: } >", "brackets"),
        ("[ < { } > ] ( ( ) ) { } Output: } ]", None),
        ("714+432+348-120-7= 1367", "sums"),
        ("714+432+348-120-8= 1366", None),
        ("25+7=32", None),
    ],
)
def test_items_are_found(folder: Path, planted: str, eval_set: str | None) -> None:
    config = DecontaminationConfig(eval_files=(f"{folder}/*.jsonl",))
    for text in (planted, f"{PROSE * 9}{planted}. {PROSE * 9}", f"{PROSE}„{planted}“"):
        found = judged(config, text)
        assert found.verdict.reason == eval_set
        if eval_set is not None:
            assert found.verdict.stage == "decontamination"
            value = str(found.verdict.value)
            if eval_set in {"brackets", "sums"}:
                assert "".join(value.split()) == "".join(planted.split())
                continue
            assert f" {value} " in f" {split_unspaced(normalized(planted))} "
            assert 8 <= len(value.split()) <= 13
        else:
            assert found.measures["decontamination.num_hits"] == 0.0


def test_a_run_that_many_items_share_is_of_their_form(tmp_path: Path) -> None:
    lines = [
        {"query": f"{words(0, 15)} {words(20 + 20 * i, 20)}", "choices": []} for i in range(11)
    ]
    (tmp_path / "form.jsonl").write_text("\n".join(map(json.dumps, lines)))
    config = DecontaminationConfig(eval_files=(f"{tmp_path}/form.jsonl",))
    assert judged(config, words(0, 15)).verdict.keep
    assert judged(config, words(20, 20)).verdict.reason == "form"
    all_runs = config.model_validate({**config.model_dump(), "max_items": None})
    assert judged(all_runs, words(0, 15)).verdict.reason == "form"
    strict = config.model_validate({**config.model_dump(), "min_hits": 9})
    assert judged(strict, words(20, 20)).verdict.keep


def test_items_that_differ_in_signs_alone_are_told_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    form = f"{words(0, 15)}:"
    signs = [f"{'[' * i}{'<' * (30 - i)}" for i in range(30)]
    items = [{"context": f"{form} {sign}", "continuation": "]"} for sign in signs]
    items += [{"context": "1+1=", "continuation": "2"}] * 3
    (tmp_path / "signs.jsonl").write_text("\n".join(map(json.dumps, items)))
    config = DecontaminationConfig(eval_files=(f"{tmp_path}/signs.jsonl",))
    with caplog.at_level("INFO"):
        assert judged(config, f"{form} {'(' * 30}").verdict.keep
    assert "written_passages=30 items_not_matchable=3 not_matchable.signs=3" in caplog.text
    for sign in signs:
        found = judged(config, f"{PROSE}{form}\n{sign} ]\n{PROSE}").verdict
        assert (found.reason, found.value) == ("signs", f"{form} {sign} ]")
    assert judged(config, f"{PROSE}{form}\n{signs[3]} )\n{PROSE}").verdict.keep


def test_plain_text_named_fields_and_scripts_without_blanks(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text(f"{words(0, 14)}\n\n{words(20, 14)}\n")
    with gzip.open(tmp_path / "mine.jsonl.gz", "wt") as stream:
        stream.write(json.dumps({"q": "今天的天气非常好我们去公园", "a": ["散步吧"], "n": 3}))
    plain = DecontaminationConfig(eval_files=(f"{tmp_path}/plain.txt",))
    assert judged(plain, words(20, 14)).verdict.reason == "plain"
    mine = DecontaminationConfig(eval_files=(f"{tmp_path}/mine.jsonl.gz",), fields=("q", "a"))
    found = judged(mine, "他说：今天的天气非常好，我们去公园散步吧。", "zh")
    assert found.verdict.reason == "mine"
    assert str(found.verdict.value).replace(" ", "") == "今天的天气非常好我们去公园"


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file matches '/no/such/\*'"):
        DecontaminationConfig(eval_files=("/no/such/*",)).input_files()
    for name, content, message in (
        ("a.jsonl", b"no json", "line 1 is not JSON"),
        ("b.jsonl", b"[1]", "line 1 is a list, expected an object"),
        ("c.jsonl", b'{"question": "x"}', r"fields \['question'\]: none of the shapes known"),
        ("d.jsonl.gz", gzip.compress(b"{}")[:-5], "cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        config = DecontaminationConfig(eval_files=(f"{tmp_path}/{name}",))
        with pytest.raises(DataError, match=message):
            judged(config, "a")
    config = DecontaminationConfig(eval_files=(f"{tmp_path}/c.jsonl",), fields=("text",))
    with pytest.raises(DataError, match=r"no text in \['text'\]"):
        judged(config, "a")


def test_a_table_of_measures_gives_the_same_verdicts(folder: Path) -> None:
    config = DecontaminationConfig(eval_files=(f"{folder}/*.jsonl",))
    texts = [words(0, 20), PROSE, words(60, 13), words(5, 13), "714+432+348-120-7=1367"]
    found = [judged(config, text) for text in texts]
    names = found[0].measures.keys()
    columns = {name: pa.chunked_array([[one.measures[name] for one in found]]) for name in names}
    for min_hits in (1, 2):
        chain = FilterChain([config.model_validate({**config.model_dump(), "min_hits": min_hits})])
        table = table_verdicts(chain.filters, pa.table({"source": ["web"] * len(texts)}), columns)
        by_row = [chain.decide_from_measures(one.measures, "web").reason for one in found]
        by_table = [table.reasons[code][1] if code >= 0 else None for code in table.codes]
        assert by_table == by_row
    assert by_row == ["choice", None, None, None, None]


def test_a_changed_set_judges_again(folder: Path) -> None:
    config = DecontaminationConfig(eval_files=(f"{folder}/*.jsonl",))
    before = sections_identity([config])
    assert judged(config, words(300, 20)).verdict.keep
    (folder / "new.jsonl").write_text(json.dumps({"query": words(300, 20), "choices": []}))
    assert sections_identity([config]) != before
    assert judged(config, words(300, 20)).verdict.reason == "new"
