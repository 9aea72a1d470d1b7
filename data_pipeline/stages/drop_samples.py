"""Drop samples: of one unit's drops, those that the report shows as text."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from contracts import storage
from data_pipeline.documents import read_drops
from data_pipeline.progress import ProgressFile
from data_pipeline.report.data import DropSample, DropSampler, ReportConfig
from data_pipeline.stages.task import Outcome, work_path


@dataclass(frozen=True)
class DropSamplesTask:
    """Look through the drops of one unit."""

    output_dir: str
    unit_id: str
    drops_urls: tuple[str, ...]
    report: ReportConfig
    num_bytes: int


def sample_drops(task: DropSamplesTask, progress: ProgressFile) -> Outcome:
    """The unit's drops with the lowest hashes, for each stage and reason."""
    del progress  # a moment
    sampler = DropSampler(task.report)
    for url in task.drops_urls:
        for stored in read_drops(url):
            sampler.add(stored.drop, stored.text_sample)
    samples = sampler.samples()
    path = work_path("drop_samples", task.unit_id, "json")
    text = json.dumps([asdict(sample) for sample in samples], ensure_ascii=False)
    storage.write_bytes(storage.join(task.output_dir, path), text.encode())
    return Outcome((path,), {"num_samples": len(samples)})


def merged_samples(
    output_dir: str, unit_ids: Sequence[str], config: ReportConfig
) -> tuple[DropSample, ...]:
    """The samples of all units together, the same for any order of units."""
    sampler = DropSampler(config)
    for unit in unit_ids:
        data = storage.read_bytes(storage.join(output_dir, work_path("drop_samples", unit, "json")))
        sampler.merge(DropSample(**sample) for sample in json.loads(data))
    return sampler.samples()
