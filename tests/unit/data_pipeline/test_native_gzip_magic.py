"""The compiled search for gzip members finds what its Python twin finds."""

from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.native.gzip_magic import GZIP_MAGIC, find_gzip_magic, gzip_magic_finder

PIECES = st.sampled_from([b"\x1f", b"\x8b", b"\x08", b"\x1f\x8b", GZIP_MAGIC, b"\x00", b"abc"])


@given(st.lists(PIECES).map(b"".join), st.integers(0, 40))
def test_both_find_the_same(data: bytes, start: int) -> None:
    assert gzip_magic_finder()(data, start) == find_gzip_magic(data, start)
