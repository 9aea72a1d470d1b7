"""Runs the tasks of a stage: in this process, in processes of this machine, or on a Ray cluster.

A task is a function of the top level of a module and one small argument; its result is small too:
texts and tokens pass through files. What comes out does not depend on the runner nor on the number
of workers, only the order of arrival does. `schedule.py` holds what all runners share: bounds,
retries, copies of slow tasks; `local.py` and `ray.py` only start tasks and fetch what they gave.
"""

from typing import Annotated

from pydantic import Field

from data_pipeline.runner.local import LocalRunnerConfig
from data_pipeline.runner.protocol import (
    Failure,
    Runner,
    StageRequest,
    StageWork,
    TaskFailed,
    TaskResult,
)
from data_pipeline.runner.ray import RayRunnerConfig
from data_pipeline.runner.retry import LASTING_ERRNOS, RetryConfig

RunnerConfig = Annotated[LocalRunnerConfig | RayRunnerConfig, Field(discriminator="kind")]

__all__ = [
    "LASTING_ERRNOS",
    "Failure",
    "LocalRunnerConfig",
    "RayRunnerConfig",
    "RetryConfig",
    "Runner",
    "RunnerConfig",
    "StageRequest",
    "StageWork",
    "TaskFailed",
    "TaskResult",
]
