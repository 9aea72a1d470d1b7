"""A SentencePiece model as the tokenizer.json of transformers, where ids would be the same.

SentencePiece merges the adjacent pair whose piece has the best score, the leftmost of equals;
`tokenizers` merges the pair of lowest rank, the leftmost of equals. With every split of a piece
ranked by the piece's score the two agree, except where two splits of one piece overlap
("aba" = "ab"+"a" = "a"+"ba" in a text where both are ready at once).
"""

from typing import Any

from sentencepiece import sentencepiece_model_pb2 as spm_proto

from contracts.config import Json

_BPE = 2
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4


def inexact_reasons(model: bytes) -> list[str]:
    """Why a tokenizer.json would not give the ids of this SentencePiece model; empty if it does."""
    proto = _parsed(model)
    reasons = []
    if proto.trainer_spec.model_type != _BPE:
        reasons.append("it is not a BPE model, whose near-ties other engines decide otherwise")
    if proto.normalizer_spec.precompiled_charsmap:
        reasons.append(f"it normalises text ({proto.normalizer_spec.name})")
    if proto.normalizer_spec.remove_extra_whitespaces:
        reasons.append("it drops repeated blanks (remove_extra_whitespaces)")
    if (
        not proto.normalizer_spec.escape_whitespaces
        or proto.trainer_spec.treat_whitespace_as_suffix
    ):
        reasons.append("it marks blanks otherwise than by U+2581 before a word")
    if any(piece.type == _USER_DEFINED for piece in proto.pieces):
        reasons.append("it has user-defined pieces")
    return reasons


def tokenizer_json(model: bytes) -> dict[str, Json]:
    """The `tokenizer.json` of a model without `inexact_reasons`."""
    proto = _parsed(model)
    pieces = [piece.piece for piece in proto.pieces]
    decoders: list[Json] = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    normalizers: list[Json] = [
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    if proto.normalizer_spec.add_dummy_prefix:
        normalizers.insert(0, {"type": "Prepend", "prepend": "▁"})
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(i, p.piece) for i, p in enumerate(proto.pieces) if p.type in (2, 3)
        ],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": pieces[proto.trainer_spec.unk_id],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": proto.trainer_spec.byte_fallback,
            "ignore_merges": False,
            "vocab": {piece: index for index, piece in enumerate(pieces)},
            "merges": _merges(proto),
        },
    }


def tokenizer_config(model: bytes, *, max_seq_len: int) -> dict[str, Json]:
    """The `tokenizer_config.json`: no token is added, and `<s>` in a text stays text."""
    spec = _parsed(model).trainer_spec
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": spec.bos_piece if spec.bos_id >= 0 else None,
        "eos_token": spec.eos_piece,
        "unk_token": spec.unk_piece,
        "pad_token": None,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_seq_len,
    }


def _parsed(model: bytes) -> Any:
    proto = spm_proto.ModelProto()  # type: ignore[attr-defined] # generated at import
    proto.ParseFromString(model)
    return proto


def _added(index: int, piece: str) -> dict[str, Json]:
    return {
        "id": index,
        "content": piece,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _merges(proto: Any) -> list[Json]:
    """Every split of every ordinary piece into two ordinary pieces, best score first."""
    ordinary = {piece.piece: index for index, piece in enumerate(proto.pieces) if piece.type == 1}
    ranked = sorted(ordinary, key=lambda piece: -proto.pieces[ordinary[piece]].score)
    return [[piece[:cut], piece[cut:]] for piece in ranked for cut in _cuts(piece, ordinary)]


def _cuts(piece: str, ordinary: dict[str, int]) -> list[int]:
    cuts = [c for c in range(1, len(piece)) if piece[:c] in ordinary and piece[c:] in ordinary]
    return sorted(cuts, key=lambda cut: (ordinary[piece[:cut]], ordinary[piece[cut:]]))
