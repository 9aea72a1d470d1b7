"""From a document to its signature: all that the search for duplicates needs to know of it."""

import numpy as np

from data_pipeline.dedup.exact import digest
from data_pipeline.dedup.minhash import MinHashConfig, minhash_values
from data_pipeline.normal_text import normal_bytes
from data_pipeline.records import Document, Signature


class Signer:
    """Makes signatures; the same text gives the same signature everywhere."""

    def __init__(self, minhash: MinHashConfig | None) -> None:
        self._minhash = minhash

    def signature(self, document: Document) -> Signature:
        """The signature of a document's text."""
        normal = normal_bytes(document.text)
        if self._minhash is None:
            values = np.zeros(0, dtype=np.uint32)
        else:
            values = minhash_values(normal, self._minhash)
        told_apart = normal or document.text.encode("utf-8", "surrogatepass")
        return Signature(document.doc_id, digest(told_apart), values)
