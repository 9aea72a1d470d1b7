"""Runs one step of a benchmark in a process of its own, with a time limit and a log.

A step that fails or hangs is told with the end of its log; it never takes the benchmark with it.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measuring import Figures, Job

ROOT = Path(__file__).resolve().parent.parent
TAIL_LINES = 12
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""For steps that measure one core."""
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HOME": str(ROOT / ".benchmarks" / "huggingface"),
}
"""What asks a hub for a file fails at once instead of hanging; what peers unpack stays here."""


class StepError(Exception):
    """A step ended badly, with the end of its log."""

    def __init__(self, step: str, reason: str, tail: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason
        self.tail = tail


def run_command(
    step: str,
    command: Sequence[str],
    *,
    log: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command from the repository's root; its output goes into `log`.

    Raises:
        StepError: it ended with another code than 0, or did not end in `timeout` seconds.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command
                list(command),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **OFFLINE, **(environment or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise StepError(step, f"cannot be started: {error}", "") from error
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            reason = f"not done after {timeout:.0f} s, its limit"
            raise StepError(step, reason, tail_of(log)) from None
        finally:
            end_session(process)
    if code:
        raise StepError(step, f"exit code {code}", tail_of(log))


def end_session(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a step: the process and all that it started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tail_of(log: Path) -> str:
    """The last lines of a log."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-TAIL_LINES:])


def run_measurement(
    python: str,
    module: str,
    job: Job,
    *,
    folder: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> Figures:
    """Run `python -m module` on a job (see `measuring`); gives its figures.

    Raises:
        StepError: it failed, hung, or wrote no figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    step = f"{module.rpartition('.')[2]} {job['part']}"
    job_path, result_path, log = folder / "job.json", folder / "result.json", folder / "log.txt"
    result_path.unlink(missing_ok=True)
    job_path.write_text(json.dumps(job))
    command = [python, "-m", module, str(job_path), str(result_path)]
    run_command(step, command, log=log, timeout=timeout, environment=environment)
    try:
        figures: Figures = json.loads(result_path.read_text())
    except (OSError, ValueError) as error:
        raise StepError(step, f"wrote no figures: {error}", tail_of(log)) from error
    return figures
