"""`python -m launch demo`: the whole path on what every Python carries, in a few minutes.

Data job over the standard library's documentation on a local Ray, training on two DeepSpeed ranks
(one where there is a GPU), a stop and a resume in the middle, evaluation, a generated sample, a
summary. Each part is the command a user would type; this file only starts them and reads what they
leave behind.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contracts.errors import EXIT_STOPPED, LaunchError
from contracts.journal import metric_series
from launch.demo_summary import DemoFigures, draw_loss, unigram_entropy

logger = logging.getLogger(__name__)

OUTPUT = Path("runs/demo")
DATA_CONFIG = "configs/data/demo.yaml"
TRAIN_CONFIG = "configs/pretrain/demo.yaml"
PROMPT = "The return value is"
RESUME_AFTER_CHECKPOINTS = 1
STOP_SECONDS = 120


@dataclass(frozen=True)
class Program:
    """A command of this demo and what it is for."""

    title: str
    command: tuple[str, ...]


def run_demo(console: Console) -> int:
    """Run every part, print the summary; the exit code.

    Raises:
        LaunchError: a part ended badly; names its command and exit code.
    """
    started = time.monotonic()
    if OUTPUT.exists():
        logger.info("demo starts afresh: removing %s of an earlier demo", OUTPUT)
        shutil.rmtree(OUTPUT)
    python = sys.executable
    ranks = 1 if _has_gpu() else 2
    train = ("--num_gpus", str(ranks), "--module", "pretrain", "train", TRAIN_CONFIG)
    deepspeed = (str(Path(python).with_name("deepspeed")), *train)

    _run(
        console,
        Program("1/5 data job on a local Ray", (python, "-m", "data_pipeline", "run", DATA_CONFIG)),
    )
    _train_until_first_checkpoint(
        console, Program(f"2/5 training on {ranks} rank(s), stopped once", deepspeed)
    )
    _run(console, Program("3/5 training resumed", deepspeed))
    _run(console, Program("4/5 evaluation", (python, "-m", "pretrain", "eval", TRAIN_CONFIG)))
    generate = (python, "-m", "pretrain", "generate", str(OUTPUT / "train"), "--prompt", PROMPT)
    sample = _run(
        console,
        Program(
            "5/5 a generated sample",
            (
                *generate,
                "--max-new-tokens",
                "60",
                "--temperature",
                "0.8",
                "--top-k",
                "50",
                "--seed",
                "1",
            ),
        ),
    )
    figures = _figures(seconds=time.monotonic() - started, sample=sample)
    draw_loss(figures, OUTPUT / "loss.png")
    _print_summary(console, figures)
    return 0


def _has_gpu() -> bool:
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return False
    found = subprocess.run(  # noqa: S603 - the program found on PATH
        [smi, "-L"], capture_output=True, text=True, check=False
    )
    return found.returncode == 0 and "GPU" in found.stdout


def _announce(console: Console, program: Program) -> None:
    console.rule(f"[bold]{program.title}")
    shown = [Path(program.command[0]).name, *program.command[1:]]
    console.print(
        "$ " + " ".join(f'"{part}"' if " " in part else part for part in shown), style="dim"
    )


def _run(console: Console, program: Program) -> str:
    """Run to the end; its standard output, which is shown as well."""
    _announce(console, program)
    lines = []
    with subprocess.Popen(  # noqa: S603 - the commands of this file
        program.command, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            sys.stdout.write(line)
            sys.stdout.flush()
    if process.returncode:
        raise LaunchError(
            f"{program.title} ended with exit code {process.returncode}; "
            f"its messages stand above; to repeat it alone: {' '.join(program.command)}"
        )
    return "".join(lines)


def _train_until_first_checkpoint(console: Console, program: Program) -> None:
    """Start training, and stop it as a scheduler would once a checkpoint is committed."""
    _announce(console, program)
    checkpoints = OUTPUT / "train" / "checkpoints"
    stopped = OUTPUT / "train" / "STOPPED.json"
    process = subprocess.Popen(  # noqa: S603 - the commands of this file
        program.command, start_new_session=True
    )
    try:
        while process.poll() is None:
            if len(list(checkpoints.glob("*/COMMITTED.json"))) >= RESUME_AFTER_CHECKPOINTS:
                console.print(
                    "first checkpoint committed: sending SIGTERM, as a scheduler would",
                    style="bold",
                )
                os.killpg(process.pid, signal.SIGTERM)
                break
            time.sleep(0.5)
        _wait_for_group(process, seconds=STOP_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    code = json.loads(stopped.read_text())["exit_code"] if stopped.exists() else process.returncode
    if code != EXIT_STOPPED:
        raise LaunchError(
            f"{program.title}: expected a clean stop (exit code {EXIT_STOPPED} in {stopped}), "
            f"found {code}; its messages stand above; "
            f"to repeat it alone: {' '.join(program.command)}"
        )


def _wait_for_group(process: subprocess.Popen[bytes], *, seconds: float) -> None:
    """Return when a process and all that it started have ended, or the time is over.

    The launcher dies of the signal at once; the ranks save first.
    """
    deadline = time.monotonic() + seconds
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.2)


def _figures(*, seconds: float, sample: str) -> DemoFigures:
    report = json.loads((OUTPUT / "data" / "report.json").read_text())
    series = metric_series(OUTPUT / "train" / "tracking.jsonl")
    evaluations = {
        name: list(points.items())
        for name, points in series.items()
        if name.startswith("eval/") and name.endswith("/loss")
    }
    return DemoFigures(
        seconds=seconds,
        num_in=report["num_in"],
        num_kept=report["num_kept"],
        dropped=report["dropped"],
        loss=list(series["train/loss"].items()),
        evaluations=evaluations,
        tokens_per_second=list(series["perf/tokens_per_second"].items()),
        entropy=unigram_entropy(str(OUTPUT / "data" / "train")),
        sample=sample,
    )


def _print_summary(console: Console, figures: DemoFigures) -> None:
    table = Table(title="Headwater demo", show_header=False, title_style="bold")
    for name, value in figures.rows():
        table.add_row(name, value)
    console.print(table)
    console.print(f"loss curve: {OUTPUT / 'loss.png'}   report: {OUTPUT / 'data' / 'report.html'}")
    console.print(
        f"MLflow: .venv/bin/mlflow ui --backend-store-uri sqlite:///{OUTPUT / 'mlflow.db'}",
        soft_wrap=True,
    )


def main(words: Sequence[str]) -> int:
    """The verb `demo`, which takes no words."""
    argparse.ArgumentParser(prog="python -m launch demo", description=__doc__).parse_args(words)
    return run_demo(Console())
