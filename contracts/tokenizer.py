"""The tokenizer that data and model share: what identifies it, and how text becomes ids and back.

A SentencePiece model. Its control pieces (`<s>`, `</s>`, `<unk>`) are never made from text:
SentencePiece splits them into ordinary pieces where they stand literally. Only the end-of-text id
is put in by us. A literal U+2581 decodes to a blank, as SentencePiece uses that sign for one.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import sentencepiece as spm
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2

from contracts import storage
from contracts.errors import DataError
from contracts.fast_bpe import FastBpe, build_fast_bpe

MODEL_NAME = "tokenizer.model"
SPEC_NAME = "tokenizer.json"
_PART_CHARACTERS = 2000  # encoding slows down with length: 5 MB/s at 2 kB, 1.6 MB/s at 700 kB
_FAST_CHARACTERS = 500_000  # from here on the fast encoder, which takes 0.4 s to load, pays
_BLANK_INSIDE = re.compile("[^\u2581]\u2581")
_WORD_START = re.compile("(?<![ \u2581])(?= )")
TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True)
class TokenizerSpec:
    """What a manifest, a run config and a checkpoint say of their tokenizer."""

    kind: str
    """`sentencepiece`."""
    sha256: str
    """Fingerprint: sha256 of the model file."""
    vocab_size: int
    eot_id: int
    """End of text; the last token of each document. The piece `</s>`."""
    bos_id: int
    unk_id: int

    @property
    def token_dtype(self) -> str:
        """`uint16` when every id fits, else `uint32`."""
        return "uint16" if self.vocab_size <= 1 << 16 else "uint32"

    def as_json(self) -> dict[str, str | int]:
        """Plain values, as they stand in manifests."""
        return asdict(self)

    @staticmethod
    def from_json(tree: dict[str, Any]) -> "TokenizerSpec":
        """The inverse of `as_json`.

        Raises:
            DataError: a field is missing or unknown.
        """
        try:
            return TokenizerSpec(**tree)
        except TypeError as error:
            raise DataError(f"tokenizer entry {tree!r} is not a TokenizerSpec: {error}") from error


def require_same_tokenizer(expected: TokenizerSpec, found: TokenizerSpec, *, where: str) -> None:
    """Refuse data or weights of another tokenizer.

    Raises:
        DataError: with both fingerprints.
    """
    if expected != found:
        raise DataError(
            f"{where}: tokenizer differs: expected sha256 {expected.sha256} "
            f"(vocab_size {expected.vocab_size}, eot_id {expected.eot_id}), "
            f"found sha256 {found.sha256} (vocab_size {found.vocab_size}, eot_id {found.eot_id}); "
            "tokenise the data again with the run's tokenizer, or train with the data's"
        )


class Tokenizer:
    """Text to ids and back by one SentencePiece model."""

    def __init__(self, model: bytes, *, where: str = "tokenizer model") -> None:
        self.model = model
        self._processor = spm.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except (RuntimeError, OSError) as error:
            raise DataError(f"{where} is not a SentencePiece model: {error}") from error
        eot_id = self._processor.eos_id()
        if eot_id < 0:
            raise DataError(
                f"{where} has no </s> control piece, which ends documents; "
                "train it with eos_id >= 0 and without </s> among user_defined_symbols"
            )
        self.spec = TokenizerSpec(
            kind="sentencepiece",
            sha256=storage.sha256_of_bytes(model),
            vocab_size=self._processor.GetPieceSize(),
            eot_id=eot_id,
            bos_id=self._processor.bos_id(),
            unk_id=self._processor.unk_id(),
        )
        self.dtype = np.dtype(self.spec.token_dtype)
        self._fast: FastBpe | None = None
        self._num_encoded: int | None = 0
        """Characters until the fast encoder is looked for; None: it was."""

    @cached_property
    def _proto(self) -> Any:
        """The parsed model of a plain BPE; only who encodes pays for it."""
        return _proto_of_plain_bpe(self.model)

    def encode(self, text: str) -> TokenArray:
        """Ids of a text, without end of text: (N,) uint16 or uint32."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str], *, num_threads: int = 1) -> list[TokenArray]:
        """Ids of many texts, each as by `encode`, whatever the number of threads."""
        fast = self._fast_encoder(texts)
        found = [fast.ids(text) if fast else None for text in texts]
        slow = iter(
            self._encode_slowly(
                [text for text, ids in zip(texts, found, strict=True) if ids is None], num_threads
            )
        )
        return [next(slow) if ids is None else ids.astype(self.dtype) for ids in found]

    def _fast_encoder(self, texts: Sequence[str]) -> FastBpe | None:
        """The fast encoder once enough was encoded for it to pay; None where there is none."""
        if self._num_encoded is not None:
            self._num_encoded += sum(map(len, texts))
            if self._num_encoded >= _FAST_CHARACTERS:
                if self._proto is not None:
                    self._fast = build_fast_bpe(self._proto)
                self._num_encoded = None
        return self._fast

    def _encode_slowly(self, texts: Sequence[str], num_threads: int) -> list[TokenArray]:
        """Ids by SentencePiece."""
        parts = [self._parts(text) for text in texts]
        rows = self._processor.Encode(
            [part for text_parts in parts for part in text_parts],
            out_type=int,
            num_threads=num_threads,
        )
        ends = np.cumsum([len(text_parts) for text_parts in parts]).tolist()
        return [
            np.fromiter(chain.from_iterable(rows[end - len(text_parts) : end]), dtype=self.dtype)
            for text_parts, end in zip(parts, ends, strict=True)
        ]

    def _parts(self, text: str) -> list[str]:
        """`text` cut where no piece can stand across the cut, so that the ids are the same."""
        if self._proto is None:
            return [text]
        parts = []
        start = 0
        while len(text) - start > _PART_CHARACTERS:
            found = _WORD_START.search(text, start + _PART_CHARACTERS)
            if found is None:
                break
            parts.append(text[start : found.start()])
            start = found.start()
        return [*parts, text[start:]]

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer[Any]]) -> str:
        """Text of ids; control pieces give nothing."""
        return str(self._processor.DecodeIds([int(i) for i in ids]))

    def piece(self, token_id: int) -> str:
        """The piece of one id, for the eye."""
        return str(self._processor.IdToPiece(int(token_id)))

    def token_bytes(self) -> npt.NDArray[np.int64]:
        """UTF-8 bytes of text that each id stands for: (vocab_size,); 0 for control pieces."""
        return np.array([self._bytes_of(i) for i in range(self.spec.vocab_size)], dtype=np.int64)

    def _bytes_of(self, token_id: int) -> int:
        if self._processor.IsControl(token_id) or self._processor.IsUnknown(token_id):
            return 0
        if self._processor.IsByte(token_id):
            return 1
        return len(self.piece(token_id).replace("\u2581", " ").encode())


def _proto_of_plain_bpe(model: bytes) -> Any:
    """The parsed model where cutting a text before a word's blank leaves its ids as they are.

    So it is where merges cannot cross the cut (BPE, no piece holds a blank behind another sign) and
    nothing is done to the ends of a text; None for other models.
    """
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at import
    try:
        proto.ParseFromString(model)
    except DecodeError:
        return None
    trainer, normaliser = proto.trainer_spec, proto.normalizer_spec
    is_plain = (
        trainer.model_type == trainer.BPE
        and not normaliser.precompiled_charsmap
        and not normaliser.add_dummy_prefix
        and not normaliser.remove_extra_whitespaces
        and normaliser.escape_whitespaces
        and not any(_BLANK_INSIDE.search(piece.piece) for piece in proto.pieces)
    )
    return proto if is_plain else None


def load_tokenizer(url: str) -> Tokenizer:
    """The tokenizer of a `.model` file.

    Raises:
        DataError: the file is missing, is not a SentencePiece model, or has no end-of-text piece.
    """
    return Tokenizer(storage.read_bytes(url), where=url)


def save_tokenizer(tokenizer: Tokenizer, folder: str) -> None:
    """Commit `tokenizer.model` and beside it `tokenizer.json`, its TokenizerSpec."""
    storage.write_bytes(storage.join(folder, MODEL_NAME), tokenizer.model)
    text = json.dumps(tokenizer.spec.as_json(), indent=1) + "\n"
    storage.write_bytes(storage.join(folder, SPEC_NAME), text.encode())
