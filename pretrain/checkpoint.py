"""Checkpoints: save on all ranks, commit by a marker written last, restore the newest whole one.

    <output_dir>/checkpoints/step-00000100/
      weight-rank0000.safetensors  exp_avg-rank0000...  exp_avg_sq-rank0000...  see state_files.py
      rng-rank0000.safetensors    generators of one rank
      engine.json                 shapes of the parameters, scalars of the optimizer
      config.yaml  tokenizer.model
      COMMITTED.json              CheckpointMeta with size and sha256 of every file above

The state is kept in one form for every engine, ZeRO stage and number of ranks, so the conversion to
another layout is only a matter of which ranges a rank reads. It is still asked for by name
(`checkpoint.reshard`), and after each load step and norms are compared with what the save recorded.
All ranks need to see the same folder. Over 400 lines, because what is written and what is read back
have to be read and changed together.
"""

import json
import logging
import math
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import PositiveInt
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from contracts import storage
from contracts.config import Config, Json, fingerprint
from contracts.errors import CheckpointError, DataError
from contracts.tokenizer import TokenizerSpec, require_same_tokenizer
from pretrain.distributed import World
from pretrain.records import (
    STATE_KEYS,
    WEIGHT,
    CheckpointMeta,
    Fragment,
    FragmentReader,
    LoaderState,
    RunState,
)
from pretrain.state_files import (
    FileInfo,
    StateFiles,
    file_info,
    state_file,
    torn_file,
    write_fragments,
    write_tensors,
)

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
COMMITTED = "COMMITTED.json"
ENGINE_FILE = "engine.json"
TOKENIZER_FILE = "tokenizer.model"
NORM_TOLERANCE = 1e-6
"""Relative; the values are copied bit for bit, only the order of fp64 sums differs between
layouts."""


class CheckpointConfig(Config):
    """What is kept of a run, and whether its state may change its layout."""

    keep_last: PositiveInt = 3
    """Newest checkpoints that stay."""
    keep_every_steps: PositiveInt | None = None
    """Checkpoints of steps that are multiples of this stay for ever; None: none does."""
    reshard: bool = False
    """Resume on another number of ranks, ZeRO stage or engine than the one that saved."""


class StateHolder(Protocol):
    """What a checkpoint needs of an engine (see engine/protocol.py)."""

    @property
    def zero_stage(self) -> int: ...
    def shapes(self) -> dict[str, tuple[int, ...]]: ...
    def fragments(self, keys: Sequence[str] = STATE_KEYS) -> Iterator[Fragment]: ...
    def scalars(self) -> dict[str, float]: ...
    def restore(self, reader: FragmentReader, scalars: dict[str, float]) -> None: ...


@dataclass(frozen=True)
class RunFacts:
    """What a save records of its run and a restore compares."""

    config: dict[str, Json]
    """The resolved config."""
    may_change: tuple[str, ...]
    """Dotted fields (or sections) that a resume may set anew."""
    engine: str
    """Kind of the engine."""
    tokenizer: TokenizerSpec
    attachments: dict[str, bytes]
    """Small files to stand in every checkpoint: `config.yaml`, `tokenizer.model`."""
    seed: int


class Checkpoints:
    """The checkpoints of one run in one folder. Every method is called by all ranks."""

    def __init__(
        self,
        config: CheckpointConfig,
        folder: Path,
        *,
        facts: RunFacts,
        engine: StateHolder,
        world: World,
    ) -> None:
        self._config = config
        self._folder = folder
        self._facts = facts
        self._engine = engine
        self._world = world
        self._committed_step = -1
        self._torn: set[Path] = set()
        self._run_id = world.broadcast(uuid.uuid4().hex)

    def save(self, state: RunState) -> None:
        """Write and commit the state behind `state.step`; nothing if that stands already.

        Raises:
            CheckpointError: a rank could not write; nothing is committed then.
        """
        if self._committed_step == state.step:
            return
        path = self._folder / f"step-{state.step:08d}"
        self._on_main(path, lambda: _make_anew(path))
        norms, files = self._write_state(path)
        self._on_main(path, lambda: self._commit(path, state, norms=norms, files=files))
        self._committed_step = state.step
        self._torn.discard(path)
        self._on_main(path, self._retain)

    def _on_main(self, path: Path, act: Callable[[], None]) -> None:
        """Let rank 0 do something; an error of its disk is raised on every rank."""
        error = ""
        if self._world.is_main:
            try:
                act()
            except OSError as failure:
                error = str(failure)
        error = self._world.broadcast(error)
        if error:
            raise CheckpointError(
                f"checkpoint {path} could not be written: rank 0: {error}; "
                "free space or mend the folder, then resume from the one before"
            )

    def _write_state(self, path: Path) -> tuple[dict[str, float], dict[str, FileInfo]]:
        error = ""
        square_sums = dict.fromkeys(STATE_KEYS, 0.0)
        files: dict[str, FileInfo] = {}
        try:
            square_sums, files = self._write_own_files(path)
        except (OSError, SafetensorError) as failure:
            error = f"rank {self._world.rank}: {failure}"
        gathered = self._world.gather((error, square_sums, files))
        errors = [item[0] for item in gathered if item[0]]
        if errors:
            raise CheckpointError(
                f"checkpoint {path} could not be written: {'; '.join(errors)}; "
                "free space or mend the folder, then resume from the one before"
            )
        norms = {key: math.sqrt(math.fsum(item[1][key] for item in gathered)) for key in STATE_KEYS}
        norms["optimizer_step"] = self._engine.scalars()["optimizer_step"]
        return norms, {name: info for item in gathered for name, info in item[2].items()}

    def _write_own_files(self, path: Path) -> tuple[dict[str, float], dict[str, FileInfo]]:
        rank = self._world.rank
        names = []
        square_sums = {}
        for key in STATE_KEYS:
            names.append(state_file(key, rank))
            square_sums[key] = write_fragments(path / names[-1], self._engine.fragments((key,)))
        names.append(f"rng-rank{rank:04d}.safetensors")
        write_tensors(path / names[-1], rng_state(self._world.device))
        if self._world.is_main:
            engine_tree = {"shapes": self._engine.shapes(), "scalars": self._engine.scalars()}
            attachments = self._facts.attachments | {ENGINE_FILE: json.dumps(engine_tree).encode()}
            for name, content in attachments.items():
                storage.write_bytes(str(path / name), content)
                names.append(name)
        return square_sums, {name: file_info(path / name) for name in names}

    def _commit(
        self, path: Path, state: RunState, *, norms: dict[str, float], files: dict[str, FileInfo]
    ) -> None:
        meta = CheckpointMeta(
            schema_version=SCHEMA_VERSION,
            run_id=self._run_id,
            state=state,
            config=self._facts.config,
            config_sha256=fingerprint(self._facts.config),
            engine=self._facts.engine,
            zero_stage=self._engine.zero_stage,
            dp_world_size=self._world.dp_world_size,
            tokenizer=self._facts.tokenizer,
            norms=norms,
            files=dict(sorted(files.items())),
        )
        text = json.dumps(asdict(meta), indent=1, ensure_ascii=False)
        storage.write_bytes(str(path / COMMITTED), text.encode())
        size_bytes = sum(int(info["bytes"]) for info in files.values())
        logger.info("checkpoint=%s step=%d bytes=%d", path, state.step, size_bytes)

    def _retain(self) -> None:
        committed = [path for path in committed_folders(self._folder) if path not in self._torn]
        every = self._config.keep_every_steps
        for path in committed[: -self._config.keep_last]:
            if every is None or _step_of(path) % every:
                _remove(path)

    def restore_latest(self) -> RunState | None:
        """Load the newest whole checkpoint into the engine; None where the run has none.

        Raises: CheckpointError: it is of another config, data, tokenizer or layout, or what was
        loaded is not what was saved.
        """
        path = self._newest_whole()
        if path is None:
            return None
        meta = read_meta(path)
        self._require_same_run(path, meta)
        is_same_layout = self._require_layout(path, meta)
        tree = json.loads((path / ENGINE_FILE).read_bytes())
        self._require_same_shapes(path, tree["shapes"])
        self._engine.restore(StateFiles(path, meta.files), tree["scalars"])
        self._require_same_norms(path, meta)
        if is_same_layout:
            rng = load_file(path / f"rng-rank{self._world.rank:04d}.safetensors")
            set_rng_state(rng, self._world.device)
        else:
            torch.manual_seed(
                self._facts.seed * 1_000_003 + meta.state.step * 1009 + self._world.rank
            )
        self._run_id = meta.run_id
        self._committed_step = meta.state.step
        logger.info(
            "resumed checkpoint=%s step=%d samples_consumed=%d weight_norm=%.9g",
            path,
            meta.state.step,
            meta.state.loader.samples_consumed,
            meta.norms[WEIGHT],
        )
        return meta.state

    def _newest_whole(self) -> Path | None:
        """The newest folder whose files are whole; each rank verifies a part of them.

        Raises:
            CheckpointError: there are committed checkpoints, and none is whole: to begin anew
                without a word would throw away what can perhaps be mended.
        """
        folders = self._world.broadcast(committed_folders(self._folder))
        newest_fault = ""
        for path in reversed(folders):
            try:
                files = sorted(read_meta(path).files.items())
                own = dict(files[self._world.rank :: self._world.world_size])
                fault = torn_file(path, own)
            except (CheckpointError, OSError) as error:
                fault = str(error)
            faults = [item for item in self._world.gather(fault) if item]
            if not faults:
                return path
            logger.warning(
                "checkpoint %s is torn, going back to the one before: %s", path, faults[0]
            )
            self._torn.add(path)
            newest_fault = newest_fault or faults[0]
        if folders:
            raise CheckpointError(
                f"{self._folder}: none of {len(folders)} committed checkpoints is whole, the "
                f"newest: {newest_fault}; restore its files, or move the folder away to start anew"
            )
        return None

    def _require_same_run(self, path: Path, meta: CheckpointMeta) -> None:
        try:
            require_same_tokenizer(
                meta.tokenizer, self._facts.tokenizer, where=f"checkpoint {path}"
            )
        except DataError as error:
            raise CheckpointError(str(error)) from error
        refused = []
        for name, saved, given in differences(meta.config, self._facts.config):
            if _is_within(name, self._facts.may_change):
                logger.warning("resume changes %s: %r -> %r", name, saved, given)
            else:
                refused.append(f"{name}: saved {saved!r}, now {given!r}")
        if refused:
            raise CheckpointError(
                f"checkpoint {path} is of another config ({'; '.join(refused)}); "
                "restore these fields, or train into another run.output_dir"
            )

    def _require_layout(self, path: Path, meta: CheckpointMeta) -> bool:
        saved = (meta.engine, meta.zero_stage, meta.dp_world_size)
        here = (self._facts.engine, self._engine.zero_stage, self._world.dp_world_size)
        if saved == here:
            return True
        words = "engine={} zero_stage={} dp_world_size={}"
        if not self._config.reshard:
            raise CheckpointError(
                f"checkpoint {path} was saved with {words.format(*saved)}, this run has "
                f"{words.format(*here)}; set checkpoint.reshard=true to convert it, "
                "or start as it was saved"
            )
        logger.warning(
            "resharding checkpoint %s: %s -> %s; random generators are seeded anew",
            path,
            words.format(*saved),
            words.format(*here),
        )
        return False

    def _require_same_shapes(self, path: Path, saved: dict[str, list[int]]) -> None:
        here = {name: list(shape) for name, shape in self._engine.shapes().items()}
        if saved != here:
            names = sorted(n for n in saved | here if saved.get(n) != here.get(n))
            name = names[0]
            raise CheckpointError(
                f"checkpoint {path} is of another model: {len(names)} parameter(s) differ, first "
                f"{name}: saved {saved.get(name)}, here {here.get(name)}; "
                "use the model it was saved with"
            )

    def _require_same_norms(self, path: Path, meta: CheckpointMeta) -> None:
        loaded = state_norms(self._engine, self._world)
        for name, saved in meta.norms.items():
            if not math.isclose(loaded[name], saved, rel_tol=NORM_TOLERANCE, abs_tol=0.0):
                raise CheckpointError(
                    f"checkpoint {path}: {name} is {loaded[name]!r} after loading, {saved!r} was "
                    f"saved (relative tolerance {NORM_TOLERANCE}); the state did not arrive: "
                    "do not go on"
                )


def state_norms(engine: StateHolder, world: World) -> dict[str, float]:
    """L2 norms of weights and moments over all ranks, and the optimizer's step."""
    square_sums = dict.fromkeys(STATE_KEYS, 0.0)
    for fragment in engine.fragments():
        square_sums[fragment.key] += float(fragment.values.double().square().sum().item())
    norms = {key: math.sqrt(world.sum(value)) for key, value in square_sums.items()}
    norms["optimizer_step"] = engine.scalars()["optimizer_step"]
    return norms


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """State of torch's generators: nothing else here draws random numbers."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_rng_state(state: dict[str, Tensor], device: torch.device) -> None:
    """The inverse of `rng_state`."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def committed_folders(folder: Path) -> list[Path]:
    """Checkpoints that have their marker, oldest first; their files may still be torn."""
    return sorted(path.parent for path in folder.glob(f"step-*/{COMMITTED}"))


def read_meta(path: Path) -> CheckpointMeta:
    """What the marker of a checkpoint says.

    Raises:
        CheckpointError: there is no marker, or it is not one.
    """
    try:
        tree: dict[str, Any] = json.loads((path / COMMITTED).read_bytes())
        version = tree.get("schema_version")
        if version != SCHEMA_VERSION:
            raise CheckpointError(
                f"checkpoint {path}: schema_version is {version!r}, this program reads "
                f"{SCHEMA_VERSION}; use the release that wrote it"
            )
        state = dict(tree["state"])
        state["loader"] = LoaderState(**state["loader"])
        tree["state"] = RunState(**state)
        tree["tokenizer"] = TokenizerSpec.from_json(tree["tokenizer"])
        return CheckpointMeta(**tree)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"checkpoint {path} has no {COMMITTED}: it was never finished; use an earlier one"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, DataError) as error:
        raise CheckpointError(
            f"checkpoint {path}: {COMMITTED} cannot be read: {error}; use an earlier one"
        ) from error


def find_checkpoint(path: Path) -> Path:
    """The checkpoint that a user means: its own folder, or the newest of a run's output folder.

    Raises:
        CheckpointError: there is none.
    """
    if (path / COMMITTED).is_file():
        return path
    found = committed_folders(path) or committed_folders(path / "checkpoints")
    if not found:
        raise CheckpointError(
            f"{path} holds no finished checkpoint (no {COMMITTED} in it, in step-*/ or in "
            "checkpoints/step-*/); check the path"
        )
    return found[-1]


def load_for_inference(path: str | Path) -> tuple[dict[str, Tensor], CheckpointMeta]:
    """fp32 weights by the model's parameter names on the CPU, of a checkpoint saved in any layout.

    The names are those of `model.named_parameters()`: a tied head stands once, under its first.

    Args:
        path: a checkpoint, or the output folder of a run, which means its newest one.

    Raises:
        CheckpointError: there is none, or a file is not what was committed.
    """
    folder = find_checkpoint(Path(path))
    meta = read_meta(folder)
    needed = {
        name: info
        for name, info in meta.files.items()
        if name.startswith(f"{WEIGHT}-rank") or name == ENGINE_FILE
    }
    fault = torn_file(folder, needed)
    if fault:
        raise CheckpointError(f"checkpoint {folder} is torn: {fault}; use an earlier one")
    shapes = json.loads((folder / ENGINE_FILE).read_bytes())["shapes"]
    reader = StateFiles(folder, needed)
    weights = {
        name: reader.read(name, WEIGHT, 0, math.prod(shape)).view(shape)
        for name, shape in shapes.items()
    }
    return weights, meta


def differences(saved: Any, given: Any, *, at: str = "") -> Iterator[tuple[str, Json, Json]]:
    """Dotted name, saved and given value of each field in which two config trees differ."""
    if isinstance(saved, dict) and isinstance(given, dict):
        for key in sorted(saved.keys() | given.keys()):
            name = f"{at}.{key}" if at else key
            yield from differences(saved.get(key), given.get(key), at=name)
    elif saved != given:
        yield at, saved, given


def with_run_id(state: RunState, tracker_run_id: str | None) -> RunState:
    """The state once the tracker has named the run."""
    return replace(state, tracker_run_id=tracker_run_id)


def _is_within(name: str, sections: Sequence[str]) -> bool:
    return any(name == section or name.startswith(section + ".") for section in sections)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _make_anew(path: Path) -> None:
    """An empty folder; what stands there is torn, or of a run that went on from an earlier step."""
    _remove(path)
    path.mkdir(parents=True)


def _remove(path: Path) -> None:
    """A checkpoint, its marker first, so that what is left of it is never taken for whole."""
    (path / COMMITTED).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)
