"""`deepspeed --hostfile` over ssh on two hosts with addresses of their own: the same losses as
alone.

The hosts are network namespaces of this machine, made by a script of the test data's folder;
without it, without root, or without ssh and pdsh, these tests skip and say so.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training_runs import make_tree, series, write_config


@pytest.fixture(scope="module")
def hosts(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The script, with two hosts up; HOSTS_DIR is set while they are."""
    script = shared_data.parent / "tools" / "hosts.sh"
    missing = [name for name in ("pdsh", "ssh", "ip", "ssh-keygen") if shutil.which(name) is None]
    if not Path("/usr/sbin/sshd").exists():
        missing.append("sshd")
    if not script.exists() or missing or os.geteuid() != 0:
        pytest.skip(f"two hosts need {script}, root, and {', '.join(missing) or 'nothing more'}")
    folder = tmp_path_factory.mktemp("hosts") / "state"
    os.environ["HOSTS_DIR"] = str(folder)
    try:
        up = subprocess.run([script, "up", "2"], capture_output=True, text=True, check=False)
        if up.returncode:
            pytest.skip(f"two hosts cannot be made here: {up.stderr.strip()}")
        yield script
    finally:
        subprocess.run([script, "down"], check=False, capture_output=True)
        del os.environ["HOSTS_DIR"]


def free_port() -> int:
    """A port of the loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_training_by_hostfile_is_training_on_one_host(
    hosts: Path, tmp_path: Path, root: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    tree = make_tree(alone)
    deepspeed = str(Path(sys.executable).with_name("deepspeed"))
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    # python3 on the other host is the one of this environment
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

    config = write_config(alone, tree)
    one = [
        deepspeed,
        "--num_gpus",
        "2",
        "--master_port",
        str(free_port()),
        "--module",
        "pretrain",
        "train",
        str(config),
    ]
    subprocess.run(one, check=True, cwd=tmp_path, env=environment, timeout=240)

    (tmp_path / ".deepspeed_env").write_text("GLOO_SOCKET_IFNAME=e0\nOMP_NUM_THREADS=1\n")
    hostfile = Path(os.environ["HOSTS_DIR"]) / "hostfile"
    launcher = ["--hostfile", str(hostfile), "--master_addr", "10.77.0.1"]
    words = ["--module", "pretrain", "train", str(config)]
    override = f"run.output_dir={tmp_path / 'both'}"
    both = [str(hosts), "run", "1", deepspeed, *launcher, *words, override]
    done = subprocess.run(
        both,
        cwd=tmp_path,
        env=environment,
        timeout=300,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert series(tmp_path / "both") == series(alone / "run")
    assert len(series(tmp_path / "both")) == tree["total_steps"]
