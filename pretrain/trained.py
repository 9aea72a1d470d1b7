"""What to do with a trained model: the verbs `eval`, `generate` and `export`.

    python -m pretrain eval CONFIG.yaml [section.field=value ...] [--checkpoint PATH] [--json]
    python -m pretrain generate PATH --prompt TEXT [--temperature ...]
    python -m pretrain export PATH FOLDER [--dtype bfloat16]

PATH is a checkpoint, the output folder of a run (its newest checkpoint), or an exported folder.
The model and its tokenizer come from there alone.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from contracts.config import Config, as_tree, load_config, validated
from contracts.errors import EXIT_DONE, ConfigError
from contracts.tokenizer import Tokenizer, load_tokenizer, require_same_tokenizer
from pretrain.checkpoint import TOKENIZER_FILE, find_checkpoint, load_for_inference
from pretrain.config import PretrainConfig
from pretrain.distributed import World
from pretrain.export import DTYPES, MANIFEST, write_export
from pretrain.generate import GenerateConfig, generate
from pretrain.init_from import read_stock
from pretrain.model import ModelConfig, Transformer, from_stock, load_weights, to_stock
from pretrain.objectives import Objective
from pretrain.records import EvalReport

_PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class _ModelSection(Config):
    model: ModelConfig


@dataclass(frozen=True)
class TrainedModel:
    """Weights in their model, with the tokenizer they were trained on."""

    model: Transformer
    """In evaluation mode."""
    config: ModelConfig
    tokenizer: Tokenizer
    step: int
    """Optimizer steps behind the weights."""
    where: str


def load_trained(path: str | Path, device: torch.device) -> TrainedModel:
    """The model of a checkpoint, a run's output folder, or an exported folder.

    Raises:
        CheckpointError: there is none, or a file is not what was committed.
        ConfigError: the folder is neither.
        DataError: an exported file is torn, or the tokenizer is another.
    """
    path = Path(path)
    if (path / MANIFEST).is_file():
        return _load_export(path, device)
    if not path.is_dir():
        raise ConfigError(
            f"{path} is no folder; name a checkpoint, the output folder of a run, or an export"
        )
    folder = find_checkpoint(path)
    weights, meta = load_for_inference(folder)
    section = validated(_ModelSection, {"model": meta.config["model"]}, where=str(folder))
    tokenizer = load_tokenizer(str(folder / TOKENIZER_FILE))
    require_same_tokenizer(meta.tokenizer, tokenizer.spec, where=str(folder / TOKENIZER_FILE))
    return _loaded(section.model, weights, tokenizer, step=meta.state.step, place=(folder, device))


def _load_export(path: Path, device: torch.device) -> TrainedModel:
    stock = read_stock(path)
    manifest = json.loads((path / MANIFEST).read_bytes())
    section = validated(_ModelSection, {"model": manifest["model"]}, where=str(path / MANIFEST))
    weights = from_stock(section.model, stock, where=str(path))
    tokenizer = load_tokenizer(str(path / TOKENIZER_FILE))
    if stock.tokenizer is not None:
        require_same_tokenizer(stock.tokenizer, tokenizer.spec, where=str(path / TOKENIZER_FILE))
    return _loaded(
        section.model, weights, tokenizer, step=int(manifest["from_step"]), place=(path, device)
    )


def _loaded(
    config: ModelConfig,
    weights: dict[str, Tensor],
    tokenizer: Tokenizer,
    *,
    step: int,
    place: tuple[Path, torch.device],
) -> TrainedModel:
    where, device = place
    model = config.build()
    load_weights(model, weights, where=str(where))
    return TrainedModel(model.to(device).eval(), config, tokenizer, step, str(where))


@dataclass(frozen=True)
class ScoredTransformer:
    """A trained model as evaluation wants it: under a precision, without gradients."""

    model: Transformer
    device: torch.device
    dtype: torch.dtype | None
    """Of autocast; None: as the weights are."""

    def __call__(self, *args: Tensor) -> Tensor:
        """The model's forward pass."""
        is_cast = self.dtype is not None
        with torch.autocast(self.device.type, self.dtype or torch.bfloat16, enabled=is_cast):
            return cast(Tensor, self.model(*args))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """No gradients within; the model is in evaluation mode already."""
        with torch.no_grad():
            yield


def evaluate_trained(
    config: PretrainConfig, trained: TrainedModel, world: World
) -> list[EvalReport]:
    """Score a trained model on the held-out sets of a config; all ranks call it.

    Raises:
        ConfigError: the config names no set.
        DataError: a set is missing, empty, or of another tokenizer.
    """
    if not config.eval.datasets:
        raise ConfigError("eval.datasets is empty, so there is nothing to evaluate; name a set")
    evaluator = config.eval.build(
        trained.tokenizer,
        seq_len=config.data.seq_len,
        vocab_size=trained.config.vocab_size,
        documents_masked=trained.config.document_mask,
    )
    dtype = _PRECISIONS[config.engine.precision]
    model = ScoredTransformer(trained.model, world.device, dtype)
    objective = cast(Objective, config.objective.build())
    return evaluator.evaluate(model, objective, world, step=trained.step)


def evaluate_main(words: Sequence[str], *, local_rank: int | None) -> int:
    """The verb `eval`; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pretrain eval",
        description="Score a trained model on the held-out sets of a config.",
    )
    parser.add_argument("config", help="YAML file of the run")
    parser.add_argument("overrides", nargs="*", help="section.field=value", metavar="OVERRIDE")
    parser.add_argument(
        "--checkpoint", help="checkpoint, run or exported folder; without it: run.output_dir"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON list")
    options = parser.parse_intermixed_args(list(words))
    config = load_config(PretrainConfig, options.config, options.overrides)
    with World.from_environment(local_rank=local_rank) as world:
        trained = load_trained(options.checkpoint or config.run.output_dir, world.device)
        reports = evaluate_trained(config, trained, world)
        if world.is_main:
            lines = [json.dumps([asdict(r) for r in reports], indent=1)]
            if not options.json:
                lines = report_lines(reports, trained)
            sys.stdout.write("\n".join(lines) + "\n")
    return EXIT_DONE


def report_lines(reports: Sequence[EvalReport], trained: TrainedModel) -> list[str]:
    """The reports for a person."""
    lines = [
        f"{trained.where}, step {trained.step}, {trained.config.num_parameters():,} parameters"
    ]
    width = max(len(report.dataset_id) for report in reports)
    for report in reports:
        extra = "".join(f"  {name} {value:.4g}" for name, value in report.extra.items())
        lines.append(
            f"{report.dataset_id:{width}}  loss {report.loss:.4f}  bits_per_byte "
            f"{report.bits_per_byte:.4f}{extra}  targets {report.num_targets:,}"
        )
    return lines


def generate_main(words: Sequence[str], *, local_rank: int | None = None) -> int:
    """The verb `generate`; gives the exit code."""
    del local_rank  # one process
    parser = argparse.ArgumentParser(
        prog="python -m pretrain generate",
        description="Continue a prompt; writes prompt and continuation to standard output.",
    )
    parser.add_argument("path", help="checkpoint, run or exported folder", metavar="CHECKPOINT")
    parser.add_argument("--prompt", required=True, help="text to continue")
    parser.add_argument("--no-cache", action="store_true", help="read all again for each token")
    for name, field in GenerateConfig.model_fields.items():
        if name != "use_cache":
            kind = float if name in ("temperature", "top_p") else int
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                type=kind,
                default=field.default,
                help=field.description,
            )
    options = vars(parser.parse_args(list(words)))
    tree = {name: options[name] for name in GenerateConfig.model_fields if name != "use_cache"}
    tree["use_cache"] = not options["no_cache"]
    config = validated(GenerateConfig, tree, where="command line")
    trained = load_trained(options["path"], World.single().device)
    found = generate(trained.model, trained.tokenizer, options["prompt"], config)
    sys.stdout.write(options["prompt"] + found.text + "\n")
    return EXIT_DONE


def export_main(words: Sequence[str], *, local_rank: int | None = None) -> int:
    """The verb `export`; gives the exit code."""
    del local_rank  # one process
    parser = argparse.ArgumentParser(
        prog="python -m pretrain export",
        description="Write a model as a folder that transformers loads as GPT-2 or Llama.",
    )
    parser.add_argument("path", help="checkpoint, run or exported folder", metavar="CHECKPOINT")
    parser.add_argument("folder", help="new or empty folder", metavar="FOLDER")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="float32", help="of the weights")
    options = parser.parse_args(list(words))
    trained = load_trained(options.path, torch.device("cpu"))
    weights: dict[str, Any] = dict(trained.model.state_dict())
    manifest = write_export(
        options.folder,
        to_stock(trained.config, weights, trained.tokenizer.spec),
        tokenizer=trained.tokenizer,
        model=as_tree(trained.config),
        from_step=trained.step,
        dtype=options.dtype,
    )
    sys.stdout.write(
        f"{options.folder}: {manifest.format}, {manifest.dtype}, step {manifest.from_step}\n"
    )
    return EXIT_DONE
