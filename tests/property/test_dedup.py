"""Dedup for any set of signatures: order makes no difference, a second pass finds nothing."""

import unicodedata
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.dedup import (
    DedupConfig,
    MinHashConfig,
    find_duplicates,
    normalized,
    signature_table,
)
from data_pipeline.records import Document, Origin, Signature

CONFIG = DedupConfig(
    minhash=MinHashConfig(num_bands=3, rows_per_band=2, min_similarity=0.5),
    max_comparisons=100,  # all pairs
)


@st.composite
def signatures(draw: st.DrawFn) -> list[list[Signature]]:
    """Three datasets; few different values, so that bands meet, chain and miss often."""
    size = draw(st.integers(0, 24))
    datasets: list[list[Signature]] = [[], [], []]
    for i in range(size):
        values = draw(st.lists(st.integers(0, 2), min_size=6, max_size=6))
        is_short = draw(st.booleans()) and draw(st.booleans())
        digest = bytes([draw(st.integers(0, 40))]) * 16
        bands = np.array([] if is_short else values, dtype=np.uint32)
        doc_id = f"{(i * 7919) % 1000:03d}"
        datasets[draw(st.integers(0, 2))].append(Signature(doc_id, digest, bands))
    return datasets


def are_linked(a: Signature, b: Signature) -> bool:
    if a.digest == b.digest:
        return True
    if not len(a.bands) or not len(b.bands):
        return False
    same = a.bands == b.bands
    return bool(same.reshape(3, 2).all(axis=1).any() and same.mean() >= 0.5)


@given(signatures(), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_clusters_are_what_links_connect(
    datasets: list[list[Signature]], num_committed: int
) -> None:
    rows = [(place, s) for place, dataset in enumerate(datasets) for s in dataset]
    rows.sort(key=lambda row: (row[0], row[1].doc_id))
    cluster = list(range(len(rows)))
    for i, (_, a) in enumerate(rows):
        for j, (_, b) in enumerate(rows[:i]):
            if rows[i][0] >= num_committed and are_linked(a, b):
                old, new = sorted((cluster[i], cluster[j]), reverse=True)
                cluster = [new if c == old else c for c in cluster]
    expected = {
        s.doc_id: rows[cluster[i]][1].doc_id
        for i, (place, s) in enumerate(rows)
        if cluster[i] != i and place >= num_committed
    }
    found = find_duplicates(signature_table(datasets, num_committed), CONFIG)
    kept = {duplicate.doc_id: duplicate.kept_doc_id for duplicate in found}
    assert kept.keys() == expected.keys()
    # Of several committed documents of one cluster any may stand for it: they are not compared.
    place = {s.doc_id: i for i, (_, s) in enumerate(rows)}
    for doc_id, kept_id in kept.items():
        is_committed = rows[place[kept_id]][0] < num_committed
        assert kept_id == expected[doc_id] or is_committed
        assert cluster[place[kept_id]] == cluster[place[doc_id]]
    assert [duplicate.doc_id for duplicate in found] == sorted(expected)


@given(signatures(), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_order_of_input_makes_no_difference(
    datasets: list[list[Signature]], num_committed: int, random: Random
) -> None:
    found = find_duplicates(signature_table(datasets, num_committed), CONFIG)
    for dataset in datasets:
        random.shuffle(dataset)
    assert find_duplicates(signature_table(datasets, num_committed), CONFIG) == found


@given(signatures(), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_a_second_pass_over_what_is_kept_finds_nothing(
    datasets: list[list[Signature]], num_committed: int
) -> None:
    found = find_duplicates(signature_table(datasets, num_committed), CONFIG)
    evicted = {duplicate.doc_id for duplicate in found}
    kept = [[s for s in dataset if s.doc_id not in evicted] for dataset in datasets]
    assert find_duplicates(signature_table(kept, num_committed), CONFIG) == []


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_the_normal_form_ignores_case_punctuation_and_spacing(text: str) -> None:
    form = normalized(text)
    assert normalized(form) == form
    assert form == " ".join(form.split())
    assert normalized(f"\n  {text} \t...") == form
    assert normalized(unicodedata.normalize("NFD", text)) == form
    assert normalized(text.replace(" ", " \n-- ")) == form


@given(st.lists(st.text(st.sampled_from("abcäß"), min_size=1), min_size=1))
@settings(max_examples=100, deadline=None)
def test_the_same_words_give_the_same_signature_however_set(words: list[str]) -> None:
    signer = DedupConfig().build()
    plain, loud = (
        signer.signature(Document("0" * 32, "s", "u", text, Origin("f", 0)))
        for text in (" ".join(words), ",\n".join(words).upper().replace("SS", "ß") + "!")
    )
    assert plain.digest == loud.digest
    assert plain.bands.tolist() == loud.bands.tolist()


@given(st.text(st.characters(codec=None, exclude_categories=())))
@settings(max_examples=100, deadline=None)
def test_any_text_has_a_signature(text: str) -> None:
    signature = DedupConfig().build().signature(Document("0" * 32, "s", "u", text, Origin("f", 0)))
    assert len(signature.digest) == 16
    assert len(signature.bands) in (0, 112)
