"""A trained model as a folder that transformers loads as a stock class, with its tokenizer.

config.json  generation_config.json  model.safetensors  tokenizer.model
tokenizer.json  tokenizer_config.json     absent where their ids would differ (a warning says why)
export.json                               ExportManifest, written last: sha256 of the others
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save
from torch import Tensor

from contracts import storage
from contracts.config import Json
from contracts.errors import ConfigError
from contracts.tokenizer import Tokenizer
from pretrain.records import ExportManifest, StockWeights
from pretrain.stock_tokenizer import inexact_reasons, tokenizer_config, tokenizer_json

logger = logging.getLogger(__name__)

MANIFEST = "export.json"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
DtypeName = Literal["float32", "bfloat16", "float16"]


def write_export(
    folder: str | Path,
    stock: StockWeights,
    *,
    tokenizer: Tokenizer,
    model: Mapping[str, Json],
    from_step: int,
    dtype: DtypeName = "float32",
) -> ExportManifest:
    """Write a model as transformers stores it.

    Args:
        folder: new or empty.
        stock: what `pretrain.model.to_stock` gives.
        tokenizer: the one the model was trained with.
        model: the `model` section of the run's config, for the record.
        from_step: completed optimizer steps behind the weights.
        dtype: of the stored weights.

    Raises:
        ConfigError: the folder is not empty, or the tokenizer does not fit the vocabulary.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"export folder {path} is not empty; name a new one or empty it")
    if tokenizer.spec.vocab_size > stock.config["vocab_size"]:
        raise ConfigError(
            f"tokenizer has {tokenizer.spec.vocab_size} pieces, model.vocab_size is "
            f"{stock.config['vocab_size']}; export with the tokenizer of the training"
        )
    files = {
        "config.json": _json_bytes(stock.config | {"dtype": dtype, "torch_dtype": dtype}),
        "generation_config.json": _json_bytes(_generation_config(stock)),
        "model.safetensors": _safetensors(stock.tensors, DTYPES[dtype]),
        **_tokenizer_files(tokenizer, max_seq_len=_max_seq_len(stock)),
    }
    for name, data in files.items():
        storage.write_bytes(str(path / name), data)
    manifest = ExportManifest(
        format=stock.format,
        dtype=dtype,
        files={name: storage.sha256_of_bytes(data) for name, data in files.items()},
        model=dict(model),
        tokenizer=tokenizer.spec,
        from_step=from_step,
    )
    storage.write_bytes(str(path / MANIFEST), _json_bytes(asdict(manifest)))
    logger.info("exported folder=%s format=%s dtype=%s", path, stock.format, dtype)
    return manifest


def _safetensors(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> bytes:
    cast = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in tensors.items()}
    return save(cast, metadata={"format": "pt"})


def _max_seq_len(stock: StockWeights) -> int:
    field = "n_positions" if stock.format == "gpt2" else "max_position_embeddings"
    return int(stock.config[field])


def _generation_config(stock: StockWeights) -> dict[str, Json]:
    ids = {key: stock.config[key] for key in ("bos_token_id", "eos_token_id")}
    return ids | {"pad_token_id": stock.config["eos_token_id"]}


def _tokenizer_files(tokenizer: Tokenizer, *, max_seq_len: int) -> dict[str, bytes]:
    files = {"tokenizer.model": tokenizer.model}
    reasons = inexact_reasons(tokenizer.model)
    if reasons:
        logger.warning(
            "the export has no tokenizer.json, as transformers would give other ids than the "
            "SentencePiece model: %s; encode with tokenizer.model",
            "; ".join(reasons),
        )
        return files
    files["tokenizer.json"] = _json_bytes(tokenizer_json(tokenizer.model))
    files["tokenizer_config.json"] = _json_bytes(
        tokenizer_config(tokenizer.model, max_seq_len=max_seq_len)
    )
    return files


def _json_bytes(tree: Mapping[str, Json]) -> bytes:
    return (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode()
