"""When a peer's environment is made anew."""

from pathlib import Path

from benchmarks.environments import INSTALLED, PEERS, Environment, requirements_hash


def test_the_hash_is_of_what_is_asked_for_and_of_python() -> None:
    first = requirements_hash("# about\nwarcio>=1.7\nnumpy\n", "3.11.7")
    assert requirements_hash("numpy  # another order\n\nwarcio>=1.7", "3.11.7") == first
    assert requirements_hash("numpy\nwarcio>=1.8", "3.11.7") != first
    assert requirements_hash("numpy\nwarcio>=1.7", "3.12.0") != first


def test_versions_come_from_what_pip_installed(tmp_path: Path) -> None:
    (tmp_path / INSTALLED).write_text("nemo-curator==1.4.0\nnumpy==2.4.6\n")
    found = Environment("nemo_curator", tmp_path)
    assert found.version("nemo_curator") == "1.4.0"
    assert found.version("torch") == "?"


def test_every_peer_pins_what_it_is_compared_as() -> None:
    assert "datatrove[io,processing]==0.10.1" in (PEERS / "datatrove.txt").read_text()
    assert "nemo-curator==1.4.0" in (PEERS / "nemo_curator.txt").read_text()
