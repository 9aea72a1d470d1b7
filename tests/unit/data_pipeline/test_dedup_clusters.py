"""Who is kept: priority, committed datasets, transitive clusters, short texts, large clusters."""

import numpy as np
import pytest

from data_pipeline.dedup import DedupConfig, MinHashConfig, find_duplicates, signature_table
from data_pipeline.records import DuplicateOf, Signature

CONFIG = DedupConfig(minhash=MinHashConfig(num_bands=5, rows_per_band=2, min_similarity=0.6))


def signed(doc_id: str, digest: int, values: str = "") -> Signature:
    bands = np.array([ord(value) for value in values], dtype=np.uint32)
    return Signature(doc_id, digest.to_bytes(16, "big"), bands)


def found(*datasets: list[Signature], committed: int = 0) -> list[DuplicateOf]:
    return find_duplicates(signature_table(datasets, committed), CONFIG)


def test_equal_digests_keep_the_lowest_doc_id() -> None:
    assert found([signed("c", 1), signed("a", 1), signed("b", 2)]) == [
        DuplicateOf("c", "a", "exact")
    ]


def test_similar_values_are_duplicates_with_their_similarity() -> None:
    assert found([signed("a", 1, "abcdefghij"), signed("b", 2, "abcdefgxyz")]) == [
        DuplicateOf("b", "a", "minhash", 0.7)
    ]


def test_a_shared_band_alone_is_not_enough() -> None:
    assert found([signed("a", 1, "abcdefghij"), signed("b", 2, "abqrstuvwx")]) == []


def test_similar_values_that_share_no_band_are_not_seen() -> None:
    assert found([signed("a", 1, "abcdefghij"), signed("b", 2, "xbxdxfxhxj")]) == []


def test_clusters_are_transitive_and_similarity_is_to_the_kept_document() -> None:
    chain = [
        signed("a", 1, "abcdefghij"),
        signed("b", 2, "abcdef" + "wxyz"),
        signed("c", 3, "ABCDef" + "wxyz"),
        signed("d", 3, "ABCDef" + "wxyz"),
    ]
    assert found(chain) == [
        DuplicateOf("b", "a", "minhash", 0.6),
        DuplicateOf("c", "a", "minhash", 0.2),
        DuplicateOf("d", "a", "exact"),
    ]


def test_short_texts_have_only_exact_duplicates() -> None:
    assert found([signed("a", 1), signed("b", 2), signed("c", 2)]) == [
        DuplicateOf("c", "b", "exact")
    ]


def test_committed_documents_win_and_are_never_evicted() -> None:
    old, older_twin, new = signed("z", 1), signed("y", 1), signed("a", 1)
    assert found([old], [older_twin], [new], committed=2) == [DuplicateOf("a", "z", "exact")]


def test_the_earliest_dataset_wins_before_the_lowest_doc_id() -> None:
    assert found([signed("z", 1)], [signed("a", 1)], [signed("b", 1)], committed=2) == [
        DuplicateOf("b", "z", "exact")
    ]


def test_each_method_can_be_switched_off() -> None:
    table = signature_table(
        [
            [
                signed("a", 1, "abcdefghij"),
                signed("b", 1, "qrstuvwxyz"),
                signed("c", 3, "abcdefghij"),
            ]
        ],
        0,
    )
    only_minhash = DedupConfig(exact=False, minhash=CONFIG.minhash)
    assert [d.doc_id for d in find_duplicates(table, only_minhash)] == ["c"]
    assert [d.doc_id for d in find_duplicates(table, DedupConfig(minhash=None))] == ["b"]
    assert find_duplicates(table, DedupConfig(exact=False, minhash=None)) == []


def test_nothing_has_no_duplicates() -> None:
    assert found() == []
    assert found([], []) == []


@pytest.mark.parametrize("num_families", [1, 3])
def test_large_families_of_copies_end_as_one_cluster_each(num_families: int) -> None:
    size, chooser = 1500, np.random.default_rng(3)
    originals = chooser.integers(0, 2**32, (num_families, 10), dtype=np.uint32)
    originals[:, :2] = 7  # all families meet in the first band
    family = np.arange(size) % num_families
    values = originals[family]
    values[:, 9] = chooser.integers(0, 2**32, size)
    signatures = [Signature(f"{i:05d}", i.to_bytes(16, "big"), values[i]) for i in range(size)]
    duplicates = found(signatures)
    assert len(duplicates) == size - num_families
    assert {d.kept_doc_id for d in duplicates} == {f"{i:05d}" for i in range(num_families)}
    assert all(int(d.doc_id) % num_families == int(d.kept_doc_id) for d in duplicates)
