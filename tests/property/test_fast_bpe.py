"""The fast encoder gives SentencePiece's ids for every text, real pages and books among them."""

import random
from functools import cache
from pathlib import Path

import gigatoken
import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from contracts.fast_bpe import build_fast_bpe
from contracts.tokenizer import Tokenizer
from data_pipeline.records import RawRecord
from data_pipeline.sources import CommonCrawlConfig
from data_pipeline.tokenization import SampledText, TrainTokenizerConfig, train_tokenizer
from tests.datasets import make_text, make_tokenizer

MARKUP = "<p>1 < 2 <s>\n<td>é ss> 0x0A> <0 漢字 \u00a0 {x: 10}</td>  \n\n" * 40
PIECES = [
    *("<s>", "</s>", "<unk>", "<0x0A>", "<0x41>", "<", "s>", "/s>", "0x0A>", "<0"),
    *(" ", "  ", "\n", "\r\n", "\t", "\0", "\x85", "\u2028", "\u3000", "\u00a0", "\u200b"),
    *("\u2581", " \u2581", "\u2581 ", "\ufeff", "\ufffd", "\ufffe", "\U0010ffff", "\x7f", "\x01"),
    *(
        "river",
        " water",
        "é",
        "e\u0301",
        "ﬁ",
        "Å",
        "A\u030a",
        "😀",
        "👨‍👩‍👧",
        "漢字",
        "ß",
        "12",
        "x" * 300,
    ),
]


@cache
def fast_tokenizer() -> tuple[Tokenizer, sentencepiece.SentencePieceProcessor]:
    """A tokenizer that has encoded enough for the fast encoder to be at work, and the stock one."""
    texts = [SampledText(str(i), str(i), make_text(i, 200) + MARKUP) for i in range(40)]
    model = train_tokenizer(texts, TrainTokenizerConfig(vocab_size=700, num_threads=1))
    tokenizer = Tokenizer(model)
    tokenizer.encode("x " * 300_000)
    return tokenizer, sentencepiece.SentencePieceProcessor(model_proto=model)


def assert_stock_ids(text: str) -> None:
    tokenizer, stock = fast_tokenizer()
    assert tokenizer.encode(text).tolist() == stock.encode(text)


@settings(max_examples=400)
@given(st.text())
def test_any_text(text: str) -> None:
    assert_stock_ids(text)


@settings(max_examples=400)
@example([""], 1)
@example([" "], 5000)
@example(["a"], 20_000)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30), st.integers(1, 60))
def test_any_mixture_of_what_is_special(parts: list[str], times: int) -> None:
    assert_stock_ids("".join(parts) * times)


def test_any_character_between_words() -> None:
    rng = random.Random(3)
    signs = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    for start in range(0, len(signs), 5000):
        part = rng.sample(signs[start : start + 5000], k=min(2000, len(signs) - start))
        assert_stock_ids(" river".join(part))


def test_lone_surrogates_are_refused_by_both() -> None:
    tokenizer, stock = fast_tokenizer()
    for encode in (tokenizer.encode, stock.encode):
        with pytest.raises((TypeError, UnicodeError, RuntimeError)):
            encode("a\ud800")


def test_models_that_it_does_not_fit_are_left_to_sentencepiece() -> None:
    model = make_tokenizer().model
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece  # type: ignore[attr-defined]

    def proto() -> sentencepiece_model_pb2.ModelProto:  # type: ignore[name-defined]
        found = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
        found.ParseFromString(model)
        return found

    assert build_fast_bpe(proto()) is not None
    tied, unused, sign_missing, without_bytes = proto(), proto(), proto(), proto()
    long = [piece for piece in tied.pieces if piece.type == kinds.NORMAL and len(piece.piece) > 1]
    long[0].score = long[1].score
    unused.pieces[-1].type = kinds.UNUSED
    sign_missing.pieces[300].piece = "\u1234\u1235"
    without_bytes.trainer_spec.byte_fallback = False
    for other in (tied, unused, sign_missing, without_bytes):
        assert build_fast_bpe(other) is None


@pytest.mark.shared_data
def test_real_pages_and_books(shared_data: Path) -> None:
    wet = shared_data / "crawl/crawl-data/*/segments/*/wet/*.gz"
    source = CommonCrawlConfig(files=(str(wet),)).build()
    records = [record for unit in source.plan() for record in source.records(unit)]
    texts = [record.payload.decode() for record in records if isinstance(record, RawRecord)]
    assert len(texts) == 1033
    texts += [path.read_text() for path in sorted((shared_data / "books").rglob("*.txt"))]
    sample = [SampledText(str(i), str(i), text) for i, text in enumerate(texts[::10])]
    model = train_tokenizer(sample, TrainTokenizerConfig(vocab_size=8000))
    stock = sentencepiece.SentencePieceProcessor(model_proto=model)
    for text, ids in zip(texts, Tokenizer(model).encode_batch(texts), strict=True):
        assert np.array_equal(ids, np.array(stock.encode(text)))


def test_the_encoder_is_given_what_gigatoken_reads_from_the_model_itself() -> None:
    model = make_tokenizer().model
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    proto.ParseFromString(model)
    fast = build_fast_bpe(proto)
    assert fast is not None
    given = gigatoken.Tokenizer.from_json(fast.tokenizer_json)
    read = gigatoken.Tokenizer.from_sentencepiece(model)
    assert given.vocab == read.vocab
    assert given.merges == read.merges
