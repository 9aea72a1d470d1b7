"""The peers' environments: one virtual environment for each `peers/<name>.txt`.

An environment's folder is named by the hash of its requirements and of the Python version, and a
file written last says that it is whole; so a changed text or a broken installation makes it anew.
"""

import hashlib
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import StepError, run_command

PEERS = Path(__file__).parent / "peers"
INSTALLED = "installed.txt"
"""What `pip freeze` says; there when the environment is whole."""
INSTALL_SECONDS = 900.0


@dataclass(frozen=True)
class Environment:
    """A peer's own Python."""

    name: str
    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    def version(self, package: str) -> str:
        """The installed version of a package; `?` when it is not among them."""
        wanted = package.lower().replace("_", "-")
        for line in (self.folder / INSTALLED).read_text().splitlines():
            name, _, version = line.partition("==")
            if name.lower().replace("_", "-") == wanted:
                return version
        return "?"


def requirements_hash(text: str, python: str) -> str:
    """12 hex digits over what is asked for (comments and order aside) and the Python version."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    wanted = sorted(line for line in lines if line)
    return hashlib.sha256("\n".join([python, *wanted]).encode()).hexdigest()[:12]


def environment(name: str, cache: Path, *, timeout: float = INSTALL_SECONDS) -> Environment:
    """The environment of `peers/<name>.txt`, made where it is missing or its text has changed.

    Raises:
        StepError: it cannot be installed.
    """
    requirements = PEERS / f"{name}.txt"
    digest = requirements_hash(requirements.read_text(), platform.python_version())
    found = Environment(name, cache / f"{name}-{digest}")
    if (found.folder / INSTALLED).exists():
        return found
    found.folder.parent.mkdir(parents=True, exist_ok=True)
    log = cache / f"{name}-{digest}.log"
    step = f"environment {name}"
    run_command(
        step, [sys.executable, "-m", "venv", "--clear", str(found.folder)], log=log, timeout=timeout
    )
    install = [found.python, "-m", "pip", "install", "--quiet", "-r", str(requirements)]
    run_command(step, install, log=log, timeout=timeout)
    freeze = cache / f"{name}-{digest}.freeze"
    run_command(step, [found.python, "-m", "pip", "freeze"], log=freeze, timeout=timeout)
    if not freeze.read_text().strip():
        raise StepError(step, f"pip installed nothing of {requirements}", "")
    freeze.replace(found.folder / INSTALLED)
    _remove_others(found)
    return found


def _remove_others(found: Environment) -> None:
    """Remove what earlier requirements of the same name left: an environment can take gigabytes."""
    for old in found.folder.parent.glob(f"{found.name}-*"):
        if old.is_dir() and old != found.folder:
            shutil.rmtree(old, ignore_errors=True)
