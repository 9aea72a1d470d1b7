"""The tokenizer: its sample, its training, and that text never makes a control id."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.errors import ConfigError, DataError
from contracts.tokenizer import Tokenizer, TokenizerSpec, load_tokenizer, save_tokenizer
from data_pipeline.records import Document, Origin, Section
from data_pipeline.tokenization import (
    ExistingTokenizerConfig,
    SampleConfig,
    SampledText,
    TokenizerConfig,
    TrainTokenizerConfig,
    lowest_texts,
    merge_samples,
    resolve_tokenizer,
    sample_documents,
    sampled_text,
    tokenise,
    train_tokenizer,
)
from tests.datasets import make_documents, make_text, make_tokenizer

CONTROL_TEXTS = [
    "<s>", "</s>", "<unk>", "<pad>", "<0x0A>", "<0x00>", " </s> ", "a<s>b</s>c<unk>", "<s",
    "\u2047", "\u2585",
]  # fmt: skip
OTHER_TEXTS = [
    "", " ", "  two  blanks  ", "\n", "\n\n\n", "\r\n", "\t\ttabs\t", "a\x00b",
    "\x01\x7f\x85\ufeff\u200b",
    "12345 3.14", "🎉👨‍👩‍👧‍👦", "漢字かな", "e\u0301 é", "ﬁ ① ａ", "\U0010ffff\ufffd",
]  # fmt: skip


def make_document(number: int, text: str) -> Document:
    return Document(
        f"{number:032x}", "web", f"https://a.example/{number}", text, Origin("f", number)
    )


def train(model_type: str = "bpe", vocab_size: int = 340) -> Tokenizer:
    sample = sample_documents(make_documents("t", 60), SampleConfig())
    config = TypeAdapter(TrainTokenizerConfig).validate_python(
        {"model_type": model_type, "vocab_size": vocab_size, "num_threads": 1}
    )
    return Tokenizer(train_tokenizer(sample, config))


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train(request.param)


@pytest.mark.parametrize("text", CONTROL_TEXTS)
def test_control_pieces_standing_in_text_are_spelled_out(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    spec = tokenizer.spec
    assert not {spec.eot_id, spec.bos_id, spec.unk_id} & set(ids.tolist())
    assert not {tokenizer.piece(i) for i in ids} & {"<s>", "</s>", "<unk>"}
    assert tokenizer.decode(ids) == text


def test_control_pieces_in_the_training_text_stay_text() -> None:
    documents = [make_document(i, f"{make_text(i, 30)} <s> </s> <unk> <0x0A>") for i in range(40)]
    model = train_tokenizer(
        sample_documents(documents, SampleConfig()), TrainTokenizerConfig(vocab_size=340)
    )
    trained = Tokenizer(model)
    for text in CONTROL_TEXTS:
        ids = trained.encode(text)
        assert not {0, 1, 2} & set(ids.tolist())
        assert trained.decode(ids) == text


@pytest.mark.parametrize("text", OTHER_TEXTS)
def test_text_comes_back_as_it_was(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_comes_back_with_u2581_as_a_blank(text: str) -> None:
    tokenizer = make_tokenizer()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text.replace("\u2581", " ")
    assert not {0, 1, 2} & set(ids.tolist())


def test_training_is_deterministic_and_depends_on_the_sample_alone() -> None:
    documents = make_documents("t", 60)
    config = TrainTokenizerConfig(vocab_size=340)
    whole = train_tokenizer(sample_documents(documents, config.sample), config)
    shuffled = list(documents)
    random.Random(1).shuffle(shuffled)
    units = [sample_documents(shuffled[i::7], config.sample) for i in range(7)]
    assert train_tokenizer(merge_samples(units, config.sample), config) == whole


def test_tokenizer_has_bytes_digits_and_no_dummy_prefix(tokenizer: Tokenizer) -> None:
    assert tokenizer.spec.vocab_size == 340
    assert (tokenizer.spec.unk_id, tokenizer.spec.bos_id, tokenizer.spec.eot_id) == (0, 1, 2)
    assert len(tokenizer.encode("2026")) == 4
    assert tokenizer.encode("river")[0] != tokenizer.encode(" river")[0]
    assert tokenizer.encode("x").dtype == np.uint16


def test_a_tab_is_one_token_and_does_not_hide_its_document_from_training() -> None:
    documents = [make_document(i, "\tqqzz\tqqzz " * 20) for i in range(3)]
    documents += make_documents("t", 60)
    model = train_tokenizer(
        sample_documents(documents, SampleConfig()), TrainTokenizerConfig(vocab_size=340)
    )
    tokenizer = Tokenizer(model)
    assert len(tokenizer.encode("\t")) == 1
    assert len(tokenizer.encode("qqzz")) == 1


def test_too_small_a_sample_is_refused_with_the_largest_possible_size() -> None:
    sample = sample_documents(make_documents("t", 3), SampleConfig())
    with pytest.raises(
        ConfigError, match=r"vocab_size=32000: .* 3 documents, \d+ bytes.* at most (\d+)"
    ) as info:
        train_tokenizer(sample, TrainTokenizerConfig())
    largest = int(str(info.value).split("gives at most ")[1].split()[0])
    model = train_tokenizer(sample, TrainTokenizerConfig(vocab_size=largest))
    assert Tokenizer(model).spec.vocab_size == largest


def test_too_small_a_vocabulary_is_refused() -> None:
    sample = sample_documents(make_documents("t", 30), SampleConfig())
    with pytest.raises(
        ConfigError, match=r"vocab_size=100: .* different characters.* more than \d+"
    ):
        train_tokenizer(sample, TrainTokenizerConfig(vocab_size=100))


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vocab_size=340: .*the sample of 0 documents, 0 bytes"):
        train_tokenizer([], TrainTokenizerConfig(vocab_size=340))


texts = st.lists(st.integers(0, 30), max_size=25).map(
    lambda sizes: [
        SampledText(f"{hash((i, s)) % 2**64:032x}", str(i), "x" * s) for i, s in enumerate(sizes)
    ]
)


@given(texts, st.integers(1, 120), st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_lowest_of_parts_are_the_lowest_of_the_whole(
    whole: list[SampledText], cap: int, num_units: int, rng: random.Random
) -> None:
    expected = lowest_texts(whole, cap)
    shuffled = list(whole)
    rng.shuffle(shuffled)
    units: list[list[SampledText]] = [[] for _ in range(num_units)]
    for text in shuffled:
        rng.choice(units).append(text)
    merged = lowest_texts((t for unit in units for t in lowest_texts(unit, cap)), cap)
    assert merged == expected
    assert expected == sorted(whole)[: len(expected)]
    total = sum(len(t.text) for t in expected)
    assert total - (len(expected[-1].text) if expected else 0) < cap
    assert total >= cap or len(expected) == len(whole)


def test_a_long_document_gives_one_bounded_piece_that_the_seed_places() -> None:
    document = make_document(1, "".join(f"{i} 漢字 " for i in range(1000)))
    config = SampleConfig(document_bytes=100)
    piece = sampled_text(document, config).text
    assert piece in document.text
    assert 95 <= len(piece.encode()) <= 100
    assert sampled_text(document, config).text == piece
    assert sampled_text(document, SampleConfig(document_bytes=100, seed=1)).text != piece


def test_tokenise_ends_each_section_with_end_of_text_whatever_the_threads() -> None:
    tokenizer = make_tokenizer()
    sections = [
        Section(document, number, document.text, "train")
        for number, document in enumerate(make_documents("web", 5))
    ]
    documents = list(tokenise(sections, tokenizer))
    for section, document in zip(sections, documents, strict=True):
        assert document.tokens[-1] == tokenizer.spec.eot_id
        assert tokenizer.decode(document.tokens) == section.text
        assert (document.doc_id, document.section) == (section.document.doc_id, section.number)
        assert document.num_bytes == len(section.text.encode())
        assert document.tokens.dtype == np.uint16
    again = tokenise(sections, tokenizer, num_threads=2)
    assert [d.tokens.tolist() for d in again] == [d.tokens.tolist() for d in documents]


def test_tokenise_of_an_empty_text_is_end_of_text_alone() -> None:
    (document,) = tokenise([Section(make_document(1, ""), 0, "", "train")], make_tokenizer())
    assert document.tokens.tolist() == [2]


def test_saved_tokenizer_is_loaded_and_described(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    save_tokenizer(tokenizer, str(tmp_path))
    loaded = resolve_tokenizer(ExistingTokenizerConfig(path=str(tmp_path / "tokenizer.model")))
    tree = json.loads((tmp_path / "tokenizer.json").read_text())
    assert loaded.spec == tokenizer.spec == TokenizerSpec.from_json(tree)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"x\.model is not a SentencePiece model"):
        load_tokenizer(str(tmp_path / "x.model"))


def test_config_is_told_by_its_kind() -> None:
    adapter: TypeAdapter[TokenizerConfig] = TypeAdapter(TokenizerConfig)
    assert adapter.validate_python({"kind": "train", "vocab_size": 500}) == TrainTokenizerConfig(
        vocab_size=500
    )
    assert adapter.validate_python({"kind": "existing", "path": "a"}) == ExistingTokenizerConfig(
        path="a"
    )
    with pytest.raises(ValidationError, match="kind"):
        adapter.validate_python({"kind": "other"})
    with pytest.raises(ValidationError, match="byte_fallback"):
        TrainTokenizerConfig.model_validate({"byte_fallback": False})
