"""The tokenizer's contract: its identity travels, another one is refused with both fingerprints."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import DataError
from contracts.tokenizer import Tokenizer, TokenizerSpec, load_tokenizer, require_same_tokenizer
from tests.datasets import make_text, make_tokenizer


def test_spec_survives_json() -> None:
    spec = make_tokenizer().spec
    assert TokenizerSpec.from_json(dict(spec.as_json())) == spec


def test_spec_of_other_fields_is_refused() -> None:
    with pytest.raises(DataError, match=r"tokenizer entry \{'kind': 'x'\} is not a TokenizerSpec"):
        TokenizerSpec.from_json({"kind": "x"})


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, "uint16"), (65_537, "uint32")])
def test_tokens_are_uint16_while_every_id_fits(vocab_size: int, dtype: str) -> None:
    assert replace(make_tokenizer().spec, vocab_size=vocab_size).token_dtype == dtype


def test_another_tokenizer_is_refused_with_both_fingerprints() -> None:
    spec = make_tokenizer().spec
    require_same_tokenizer(spec, replace(spec), where="here")
    other = replace(spec, sha256="f" * 64)
    with pytest.raises(
        DataError, match=rf"here: tokenizer differs: expected sha256 {spec.sha256} .* f{{64}}"
    ):
        require_same_tokenizer(spec, other, where="here")


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.model cannot be opened"):
        load_tokenizer(str(tmp_path / "absent.model"))


def test_a_model_without_end_of_text_is_refused() -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([make_text(1, 300)]), model_writer=model, vocab_size=60,
        model_type="bpe", eos_id=-1, minloglevel=2,
    )  # fmt: skip
    with pytest.raises(
        DataError, match=r"tokenizer model has no </s> control piece, which ends documents"
    ):
        Tokenizer(model.getvalue())


def test_a_model_whose_end_of_text_is_made_from_text_is_refused() -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([make_text(1, 300)]), model_writer=model, vocab_size=60,
        model_type="bpe", user_defined_symbols=["</s>"], minloglevel=2,
    )  # fmt: skip
    with pytest.raises(
        DataError, match=r"has no </s> control piece, .*without </s> among user_defined_symbols"
    ):
        Tokenizer(model.getvalue())


def test_batches_give_what_single_texts_give() -> None:
    tokenizer = make_tokenizer()
    texts = [make_text(i, 20) for i in range(9)] + ["", "</s>"]
    for num_threads in (1, 3):
        rows = tokenizer.encode_batch(texts, num_threads=num_threads)
        assert [row.tolist() for row in rows] == [tokenizer.encode(t).tolist() for t in texts]


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            [" ", "  ", "\u2581", "\n", "\n ", "river", " river", "wa", "ter", ".", "漢", "</s>"]
        ),
        max_size=40,
    ),
    st.integers(1, 2000),
)
def test_long_texts_have_the_ids_they_have_in_one_piece(words: list[str], times: int) -> None:
    tokenizer = make_tokenizer()
    text = ("".join(words) * times)[:9000]
    stock = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    assert tokenizer.encode(text).tolist() == stock.encode(text)


@pytest.mark.parametrize(
    "options",
    [
        {"model_type": "unigram"},
        {"add_dummy_prefix": True},
        {"remove_extra_whitespaces": True},
        {"normalization_rule_name": "nfkc"},
        {"split_by_whitespace": False, "max_sentencepiece_length": 30},
        {"treat_whitespace_as_suffix": True},
        {"user_defined_symbols": ["river water"]},
    ],
)
def test_models_of_any_options_give_stock_ids(options: dict[str, Any]) -> None:
    model = io.BytesIO()
    plain: dict[str, Any] = {
        "model_type": "bpe",
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
    }
    plain |= {"remove_extra_whitespaces": False, "byte_fallback": True, "hard_vocab_limit": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([make_text(i, 60) for i in range(80)]),
        model_writer=model,
        vocab_size=400,
        minloglevel=2,
        **(plain | options),
    )
    stock = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokenizer = Tokenizer(model.getvalue())
    for seed in range(5):
        text = f"  {make_text(100 + seed, 1500)}  \n river  water ﬁ " * 2
        assert tokenizer.encode(text).tolist() == stock.encode(text)
