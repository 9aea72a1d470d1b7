"""From a document to its signature: all that the search for duplicates needs to know of it."""

import re

import numpy as np

from data_pipeline.dedup.exact import digest, normalized
from data_pipeline.dedup.minhash import MinHashConfig, minhash_values
from data_pipeline.records import Document, Signature

# Thai, Lao, Burmese, Khmer, kana, Han: no blanks between words, so each character is a word.
_UNSPACED = re.compile(
    "([\u0e01-\u0e5b\u0e81-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0003ffff])"
)
_LEADS_OF_THREE_BYTES_OR_MORE = bytes(range(0xE0, 0xF8))


class Signer:
    """Makes signatures; the same text gives the same signature everywhere."""

    def __init__(self, minhash: MinHashConfig | None) -> None:
        self._minhash = minhash

    def signature(self, document: Document) -> Signature:
        """The signature of a document's text."""
        text = normalized(document.text)
        if self._minhash is None:
            values = np.zeros(0, dtype=np.uint32)
        else:
            values = minhash_values(_words(text), self._minhash)
        return Signature(document.doc_id, digest(text or document.text), values)


def _words(normalized_text: str) -> list[bytes]:
    encoded = normalized_text.encode()
    # Unspaced scripts take three bytes or four in UTF-8, which few other normalised texts have.
    if len(encoded.translate(None, _LEADS_OF_THREE_BYTES_OR_MORE)) < len(encoded):
        encoded = _UNSPACED.sub(r" \1 ", normalized_text).encode()
    return encoded.split()
