import subprocess
import sys
from pathlib import Path

import pytest

from contracts.config import load_config, to_yaml
from contracts.errors import ConfigError
from data_pipeline.config import DataConfig
from data_pipeline.sources.common_crawl import CommonCrawlConfig
from tests.data_job import ROOT, write_config

CONFIGS = sorted((ROOT / "configs" / "data").glob("*.yaml"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_config(tmp_path / "job.yaml", folder=tmp_path, output_dir=tmp_path / "out")


@pytest.mark.parametrize("file", CONFIGS, ids=[file.stem for file in CONFIGS])
def test_each_config_of_the_house_loads_and_comes_back_from_what_a_job_writes(
    file: Path, tmp_path: Path
) -> None:
    config = load_config(DataConfig, file)
    written = tmp_path / "config.yaml"
    written.write_text(to_yaml(config))
    assert load_config(DataConfig, written) == config


def test_a_share_of_the_crawl_is_taken_as_the_config_of_the_house_says() -> None:
    file = ROOT / "configs" / "data" / "common_crawl.yaml"
    line = next(line for line in file.read_text().splitlines() if "crawl.fraction=" in line)
    overrides = [word for word in line.split() if word.startswith("sources.")]
    [source] = load_config(DataConfig, file, overrides).sources
    assert isinstance(source, CommonCrawlConfig)
    assert source.crawl is not None
    assert (source.crawl.first, source.crawl.fraction) == (None, 0.01)


def test_a_source_that_is_wrong_is_not_called_missing_too() -> None:
    file = ROOT / "configs" / "data" / "common_crawl.yaml"
    with pytest.raises(
        ConfigError, match=r"1 wrong value.*\n.*first and fraction are both"
    ) as told:
        load_config(DataConfig, file, ["sources.web.crawl.fraction=0.1"])
    assert "at least 1 item" not in str(told.value)


@pytest.mark.parametrize("mode", ["precise", "balanced", "fast"])
def test_a_mode_of_extraction_may_be_a_bare_word(path: Path, mode: str) -> None:
    short = load_config(DataConfig, path, [f"extractor={mode}"])
    spelled = load_config(DataConfig, path, [f"extractor={{kind: {mode}}}"])
    assert short.extractor.kind == mode
    assert short == spelled
    assert f"kind: {mode}" in to_yaml(short)
    with pytest.raises(ConfigError, match=r"extractor: .*'quick'.*'fast'"):
        load_config(DataConfig, path, ["extractor=quick"])


def test_from_is_the_name_of_start_from(path: Path) -> None:
    assert load_config(DataConfig, path, ["from=documents"]).start_from == "documents"
    assert load_config(DataConfig, path).start_from == "sources"


def test_what_has_no_influence_on_the_data_is_not_in_its_identity(path: Path) -> None:
    config = load_config(DataConfig, path)
    same = load_config(
        DataConfig, path, ["output_dir=/elsewhere", "runner.num_workers=2", "from=documents"]
    )
    other = load_config(DataConfig, path, ["shards.seq_len=128"])
    # A page that hits a limit is dropped: the limits have influence.
    limited = load_config(DataConfig, path, ["limits.page_seconds=5.0"])
    assert config.data_sha256 != limited.data_sha256
    assert config.documents_sha256 != limited.documents_sha256
    assert config.data_sha256 == same.data_sha256
    assert config.data_sha256 != other.data_sha256


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sources.1.name=web"], r"the name 'web' stands 2 times"),
        (["filters.0.sources=[weeb]"], r"filters\.0 \(language\): sources \['weeb'\] are not in"),
        (["documents_dir=/x"], r"documents_dir=/x has no effect with from=sources"),
        (["sources=[]"], r"sources: Tuple should have at least 1 item"),
        (["max_drop_rate=2"], r"max_drop_rate: .*less than or equal to 1"),
        (["runner.kind=slurm"], r"runner: .*'slurm'.*'local', 'ray'"),
        (["runner.num_worker=2"], r"runner\.local\.num_worker: Extra inputs are not permitted"),
    ],
)
def test_a_config_that_cannot_work_is_refused(
    path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(DataConfig, path, overrides)


def test_reading_a_config_loads_no_heavy_library(path: Path) -> None:
    program = (
        "import sys; from contracts.config import load_config; "
        "from data_pipeline.config import DataConfig; "
        f"load_config(DataConfig, {str(path)!r}, ['runner={{kind: ray}}']); "
        "print([m for m in ('ray', 'mlflow', 'torch', 'deepspeed') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
