"""The config of a data job: the rooms' sections, and the checks across them."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, PositiveInt, model_validator

from contracts.config import Config, Json, as_tree, fingerprint
from contracts.tracking import MlflowConfig, TrackingConfig
from data_pipeline.dedup import DedupConfig
from data_pipeline.extract import EXTRACT, ExtractorConfig, LearnedConfig
from data_pipeline.filters import FilterConfig, OptOutConfig, PiiConfig
from data_pipeline.report import ReportConfig
from data_pipeline.runner import LocalRunnerConfig, RunnerConfig
from data_pipeline.sections import SplitConfig
from data_pipeline.shard_writer import ShardsConfig
from data_pipeline.sources import SourceConfig
from data_pipeline.sources.protocol import READ
from data_pipeline.stages.isolation import PageLimitsConfig
from data_pipeline.tokenization import TokenizerConfig, TrainTokenizerConfig

WITHOUT_INFLUENCE = frozenset(
    {
        *("output_dir", "runner", "tracking", "report", "start_from", "documents_dir"),
        *("max_stage_drop_rates", "drop_rates_after_pages"),
    }
)
"""Sections that change nothing in the data."""
OF_THE_DOCUMENTS = ("sources", "extractor", "limits", "opt_out", "filters", "pii", "dedup")
"""Sections that decide which documents a store holds."""


class DataConfig(Config):
    """A data job: which sources become which shards, and where."""

    model_config = ConfigDict(populate_by_name=True)

    output_dir: str
    """Folder (path or URL) of all that the job writes; a job that was stopped goes on there."""
    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)]
    """What is read, in this order; names are unique."""
    extractor: ExtractorConfig = LearnedConfig()
    """How a page's main text is taken from its HTML."""
    limits: PageLimitsConfig | None = PageLimitsConfig()
    """What one page may cost; None works on pages in the task's own process, without limits."""
    opt_out: OptOutConfig = OptOutConfig()
    """What a page says against its use, and whether it is honoured: before all filters."""
    filters: tuple[FilterConfig, ...] = ()
    """Rules in the order in which they may name a drop; none keeps everything."""
    pii: PiiConfig | None = None
    """Masking of personal data, behind the filters and before deduplication; None: off."""
    dedup: DedupConfig = DedupConfig()
    """How duplicates are found, in this job and against earlier ones."""
    split: SplitConfig = SplitConfig()
    """What is held out for evaluation."""
    tokenizer: TokenizerConfig = TrainTokenizerConfig()
    """A tokenizer to train on the kept documents, or an existing one."""
    shards: ShardsConfig = ShardsConfig()
    """Row length, and the sizes of chunks and shards."""
    max_drop_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Share of a source's pages that may be dropped while being read; more ends the job, early
    where that can be told. As well the share of its bytes that may stand in files left out."""
    max_stage_drop_rates: Mapping[str, Annotated[float, Field(ge=0.0, le=1.0)]] = {}
    """Share of a source's pages that a stage may drop, by stage: `{language: 0.9, extract: 0.3}`.
    More ends the job; stages that are not named have no bound."""
    drop_rates_after_pages: PositiveInt = 1000
    """Pages of a source after which its drop rates are judged while it is still being read."""
    start_from: Literal["sources", "documents"] = Field(default="sources", alias="from")
    """`documents` reads the store of an earlier run instead of the sources. Written `from`."""
    documents_dir: str | None = None
    """Output folder whose document store `from: documents` reads; None: output_dir."""
    runner: RunnerConfig = LocalRunnerConfig()
    """Where the tasks run; changes nothing in the data."""
    tracking: TrackingConfig = MlflowConfig()
    """Where the job's counts, report and config are logged."""
    report: ReportConfig = ReportConfig()
    """What the report page shows."""

    @model_validator(mode="after")
    def _check_sections(self) -> Self:
        names = [source.source_name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"sources: the name {name!r} stands {names.count(name)} times; documents are "
                    "named after their source: give each its own"
                )
        for i, section in enumerate(self.filters):
            unknown = sorted(set(section.sources or ()) - set(names))
            if unknown:
                raise ValueError(
                    f"filters.{i} ({section.kind}): sources {unknown} are not in this config, "
                    f"which has {names}; correct the names or remove them"
                )
        unknown = sorted(set((self.pii and self.pii.sources) or ()) - set(names))
        if unknown:
            raise ValueError(
                f"pii.sources: {unknown} are not in this config, which has {names}; correct the "
                "names or remove them"
            )
        known = {READ, EXTRACT, *(section.kind for section in self.filters)}
        unknown = sorted(set(self.max_stage_drop_rates) - known)
        if unknown:
            raise ValueError(
                f"max_stage_drop_rates: no stage is called {unknown}; this config has "
                f"{sorted(known)}"
            )
        if self.documents_dir is not None and self.start_from == "sources":
            raise ValueError(
                f"documents_dir={self.documents_dir} has no effect with from=sources; "
                "set from=documents or remove it"
            )
        return self

    @property
    def title(self) -> str:
        """For people: the last two parts of the output folder, as `demo-data` of runs/demo/data."""
        return "-".join(self.output_dir.rstrip("/").split("/")[-2:])

    def _identity(self) -> dict[str, Json]:
        """The tree, of the sources and of `dedup` only what changes the data."""
        sources: list[Json] = [dict(source.identity()) for source in self.sources]
        return as_tree(self) | {"sources": sources, "dedup": self.dedup.identity()}

    @property
    def data_sha256(self) -> str:
        """Identity of the config as far as it changes the data."""
        tree = self._identity()
        return fingerprint({k: v for k, v in tree.items() if k not in WITHOUT_INFLUENCE})

    @property
    def documents_sha256(self) -> str:
        """Identity of the sections that decide about the document store."""
        tree = self._identity()
        return fingerprint({name: tree[name] for name in OF_THE_DOCUMENTS})
