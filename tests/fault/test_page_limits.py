"""A page that hangs, bursts or crashes the parser costs itself alone, with a reason."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from contracts.config import Json, load_config
from data_pipeline.config import DataConfig
from data_pipeline.documents import read_documents, read_drops
from data_pipeline.plan import plan_units
from data_pipeline.progress import ProgressFile
from data_pipeline.sources.warc_writer import write_pages
from data_pipeline.stages.isolation import PageLimitsConfig
from data_pipeline.stages.map import MapTask, map_unit
from data_pipeline.stages.record_work import UnitWork
from tests.data_job import ROOT, command, write_config, write_input
from tests.fault.bad_extractors import BadExtractorConfig

LIMITS = PageLimitsConfig(page_seconds=0.5, page_memory_bytes=256 << 20)
GOOD = "The river runs to the sea past the old town number {}. "


def run_pages(
    folder: Path,
    deeds: Sequence[str],
    *,
    limits: PageLimitsConfig | None = LIMITS,
    extractor: BadExtractorConfig | None = None,
) -> tuple[list[str], list[tuple[str, str, str]], dict[str, Json]]:
    """URIs kept, (uri, reason, value) dropped, and the counts of a unit whose pages do `deeds`."""
    write_input(folder / "in", num_files=1)
    pages = []
    for number, deed in enumerate(deeds):
        body = f"<p>DO:{deed}.</p>" if deed else ""
        text = f"<html><body>{body}<p>{GOOD.format(number) * 3}</p></body></html>"
        pages.append((f"https://example.org/{number}", text.encode()))
    with (folder / "pages.warc.gz").open("wb") as stream:
        write_pages(stream, pages, isbn="pages")
    source = f"{{kind: common_crawl, name: pages, files: [{folder}/pages.warc.gz]}}"
    path = write_config(folder / "j.yaml", folder=folder / "in", output_dir=folder / "out")
    config = load_config(DataConfig, path, [f"sources=[{source}]", "filters=[]"])
    [planned] = plan_units(config)
    work = UnitWork(
        unit=planned.unit,
        source=planned.source,
        extractor=extractor or BadExtractorConfig(),  # type: ignore[arg-type]
        filters=config.filters,
        dedup=config.dedup,
    )
    task = MapTask(config.output_dir, "unit", work, limits)
    outcome = map_unit(task, ProgressFile(config.output_dir, "unit"))
    documents, drops = (f"{config.output_dir}/{name}" for name in outcome.outputs[:2])
    kept = [stored.document.uri.rpartition("/")[2] for stored in read_documents(documents)]
    dropped = [
        (stored.drop.uri.rpartition("/")[2], stored.drop.reason, str(stored.drop.value))
        for stored in read_drops(drops)
    ]
    return kept, dropped, outcome.result


@pytest.mark.parametrize(
    ("deed", "reason", "value"),
    [
        ("spin", "page_timeout", "more than 0.5 processor seconds"),
        ("memory", "page_memory", "more than limits.page_memory_bytes"),
        ("segfault", "parser_crash", "SIGSEGV"),
        ("abort", "parser_crash", "SIGABRT"),
        ("exit", "parser_crash", "exit 3"),
        ("kill", "page_memory", "ended by the system"),
    ],
)
def test_a_bad_page_is_one_drop_with_its_reason(
    tmp_path: Path, deed: str, reason: str, value: str
) -> None:
    kept, dropped, result = run_pages(tmp_path, ["", "", deed, "", ""])
    assert kept == ["0", "1", "3", "4"]
    assert dropped == [("2", reason, value)]
    assert result["num_in"] == 5
    assert result["dropped"] == {"extract": {reason: 1}}


def test_a_page_that_sleeps_ends_by_the_clock(tmp_path: Path) -> None:
    limits = PageLimitsConfig(page_seconds=0.02)
    kept, dropped, _ = run_pages(tmp_path, ["sleep", "sleep"], limits=limits)
    assert kept == []
    assert dropped == [(n, "page_timeout", "more than 0.4 s") for n in ("0", "1")]


def test_a_unit_of_bad_pages_keeps_its_good_ones_in_order(tmp_path: Path) -> None:
    deeds = ["spin", "segfault", "", "memory", "exit", "", "abort", *[""] * 70, "spin"]
    kept, dropped, result = run_pages(tmp_path, deeds)
    assert kept == [str(n) for n, deed in enumerate(deeds) if not deed]
    assert [uri for uri, _, _ in dropped] == [str(n) for n, deed in enumerate(deeds) if deed]
    assert result["num_in"] == len(deeds)


def test_a_process_ended_from_outside_once_costs_nothing(tmp_path: Path) -> None:
    extractor = BadExtractorConfig(first_deed_file=str(tmp_path / "done"))
    kept, dropped, _ = run_pages(tmp_path, ["", "once", ""], extractor=extractor)
    assert kept == ["0", "1", "2"]
    assert dropped == []


def test_a_terminated_process_is_the_runners_business(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"a page process was ended from outside \(SIGTERM\)"):
        run_pages(tmp_path, ["", "terminate", ""])


def test_an_error_of_the_code_is_raised_with_where_it_happened(tmp_path: Path) -> None:
    extractor = BadExtractorConfig(max_page_bytes=10, kind="bad")
    with pytest.raises(TypeError) as caught:
        run_pages(tmp_path, [""], extractor=extractor.model_construct(max_page_bytes="x"))
    assert any("in a page process" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_documents_are_the_same_with_and_without_limits(tmp_path: Path, num_workers: int) -> None:
    write_input(tmp_path / "in")
    written = []
    for name, limits in (("with", "{}"), ("without", "null")):
        path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / name)
        done = subprocess.run(
            command("run", path, f"limits={limits}", f"runner.num_workers={num_workers}"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        folders = [tmp_path / name / split for split in ("train", "validation")]
        written.append([p.read_bytes() for f in folders for p in sorted(f.glob("*.tar"))])
    assert len(written[0]) > 2
    assert written[0] == written[1]


def test_no_process_outlives_its_job(tmp_path: Path) -> None:
    script = tmp_path / "hang.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from data_pipeline.stages.isolation import PageLimitsConfig\n"
        "from tests.fault.test_page_limits import run_pages\n"
        "if __name__ == '__main__':\n"
        "    run_pages(Path(sys.argv[1]), ['spin'], limits=PageLimitsConfig(page_seconds=600))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    job = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment)
    process = psutil.Process(job.pid)
    deadline = time.monotonic() + 60
    while not any(child.cpu_times().user > 0.5 for child in _grandchildren(process)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = process.children(recursive=True)
    assert len(family) >= 2
    job.send_signal(signal.SIGKILL)
    job.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def _grandchildren(process: psutil.Process) -> list[psutil.Process]:
    return [grand for child in process.children() for grand in child.children()]


def run_script(folder: Path, body: str) -> "subprocess.CompletedProcess[str]":
    """Run a script with these lines; its first argument is `folder`."""
    script = folder / "bare.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.fault.bad_extractors import BadExtractorConfig\n"
        "from tests.fault.test_page_limits import run_pages\n" + body
    )
    return subprocess.run(
        [sys.executable, str(script), str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_script_needs_no_main_guard_for_page_processes(tmp_path: Path) -> None:
    done = run_script(tmp_path, "print(run_pages(Path(sys.argv[1]), [''])[0])\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['0']\n"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("", "attribute lookup OwnConfig"),
        ("OwnConfig.__module__ = 'made_up'\n", "ended with code 1"),
    ],
)
def test_a_part_of_the_main_script_is_refused(tmp_path: Path, lines: str, reason: str) -> None:
    done = run_script(
        tmp_path,
        "class OwnConfig(BadExtractorConfig):\n"
        "    pass\n"
        "sys.modules['made_up'] = sys.modules['__main__']\n"
        f"{lines}"
        "run_pages(Path(sys.argv[1]), [''], extractor=OwnConfig())\n",
    )
    assert done.returncode != 0
    assert reason in done.stderr
    assert "must stand in a module that can be imported" in done.stderr
