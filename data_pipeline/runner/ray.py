"""Tasks on Ray: a Ray of this machine's loopback alone, or a cluster to join. Only here is ray.

Ray places tasks by their requests and tells when a worker or a node is gone; what is tried again,
copied or given up is decided by the schedule, so Ray's own retries are off.
"""

import logging
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Literal

from pydantic import PositiveInt

from contracts.config import Config
from contracts.errors import DataError, LaunchError
from data_pipeline.runner.measure import measured
from data_pipeline.runner.protocol import (
    ArgumentT,
    Failure,
    Measured,
    ResultT,
    StageRequest,
    StageWork,
    TaskFailed,
    TaskResult,
    request_of,
)
from data_pipeline.runner.retry import RetryConfig
from data_pipeline.runner.schedule import Policy, Schedule
from data_pipeline.runner.stragglers import StragglerConfig

logger = logging.getLogger(__name__)

CLUSTER_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""With 0 Ray takes the loopback for this machine's address on Linux too; else it listens to all."""
KEEPALIVE = {
    "RAY_grpc_client_keepalive_time_ms": "20000",
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
}
"""How soon the driver notices that a host does not answer; Ray's own setting is five minutes."""
LOOPBACK = "127.0.0.1"
LOOK_SECONDS = 2.0
"""How often the cluster's nodes are counted: they come and go."""
PACKAGES = ("data_pipeline", "contracts")


class RayRunnerConfig(Config):
    """Tasks on a Ray cluster, or on a Ray of this machine alone."""

    kind: Literal["ray"] = "ray"
    address: str | None = None
    """`auto` or host:port of a cluster to join; None starts a Ray on this machine's loopback."""
    num_workers: PositiveInt | None = None
    """CPUs of a Ray started here; None takes all of the machine's. Not for a cluster to join."""
    stages: Mapping[str, StageRequest] = {}
    """Requests by stage, where the defaults do not fit: `stages.map.memory_bytes=4000000000`."""
    max_in_flight: PositiveInt = 256
    """Tasks handed to Ray at once; the others wait in the plan."""
    max_in_flight_bytes: PositiveInt = 1 << 40
    """Input bytes of the tasks handed to Ray at once; one task always may."""
    wait_for_nodes_seconds: PositiveInt = 300
    """How long a stage waits for a node with room for its tasks before the job fails."""
    include_dashboard: bool = False
    """Start Ray's dashboard with a Ray started here."""
    retry: RetryConfig = RetryConfig()
    """How often broken infrastructure is tried again."""
    stragglers: StragglerConfig = StragglerConfig()
    """When a task that runs too long is started a second time."""

    def build(self) -> "RayRunner":
        """The runner, joined to its cluster; loads ray."""
        return RayRunner(self)


class RayRunner:
    """Tasks on Ray, a bounded number at once.

    Raises:
        LaunchError: the cluster cannot be joined.
    """

    def __init__(self, config: RayRunnerConfig) -> None:
        self._config = config
        self._policy = Policy(
            config.max_in_flight, config.max_in_flight_bytes, config.retry, config.stragglers
        )
        own = KEEPALIVE | ({CLUSTER_VARIABLE: "0"} if config.address is None else {})
        with _environment(own):
            self._ray = self._started(config)

    @staticmethod
    def _started(config: RayRunnerConfig) -> Any:
        """Ray, joined or started; its own processes have the environment of this moment."""
        import ray  # heavy: loaded when this adapter is built

        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**_ray_arguments(config))
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise LaunchError(
                f"runner.address={config.address}: Ray cannot be joined or started: {error}; "
                "check `ray status` there, or set runner.kind=local"
            ) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # ray.init puts its own in place
        return ray

    @property
    def requested(self) -> Collection[str]:
        return self._config.stages.keys()

    def run(
        self, work: StageWork[ArgumentT, ResultT]
    ) -> Iterator[TaskResult[ResultT] | TaskFailed]:
        """Results as they arrive."""
        request = request_of(work.stage, self._config.stages)
        executor = _OnRay(self._ray, work, request, self._config)
        return Schedule(work, executor, self._policy).results()

    def close(self) -> None:
        """Leave the cluster; a Ray started here ends."""
        self._ray.shutdown()


class _OnRay(Generic[ArgumentT, ResultT]):
    """One stage's tasks; the handle of an attempt is Ray's reference."""

    def __init__(
        self,
        ray: Any,
        work: StageWork[ArgumentT, ResultT],
        request: StageRequest,
        config: RayRunnerConfig,
    ) -> None:
        self._ray = ray
        self._stage = work.stage
        self._function = work.function
        self._request = request
        self._folder = str(Path.cwd())
        remote = ray.remote(_run_in_folder)
        self._remote = remote.options(
            name=f"data:{work.stage}",
            num_cpus=request.num_cpus,
            memory=request.memory_bytes,
            max_retries=0,
        )
        self._num_slots = 0
        self._look_at = 0.0
        self._give_up_at = time.monotonic() + config.wait_for_nodes_seconds
        self._wait_seconds = config.wait_for_nodes_seconds
        self.max_submitted = config.max_in_flight

    @property
    def num_slots(self) -> int:
        """Tasks of this stage that the nodes there are now have room for.

        Raises:
            LaunchError: no node had room for one, for too long.
        """
        now = time.monotonic()
        if now < self._look_at:
            return self._num_slots
        self._look_at = now + LOOK_SECONDS
        nodes = [node["Resources"] for node in self._nodes() if node["Alive"]]
        self._num_slots = sum(self._fitting(node) for node in nodes)
        if self._num_slots:
            self._give_up_at = now + self._wait_seconds
        elif now > self._give_up_at:
            raise LaunchError(
                f"stage {self._stage}: none of the cluster's {len(nodes)} nodes has room for a "
                f"task of {self._request.num_cpus:g} CPUs and {self._request.memory_bytes} bytes "
                f"of memory, for {self._wait_seconds} s now; add a node, or lower "
                f"runner.stages.{self._stage}.num_cpus and .memory_bytes"
            )
        return self._num_slots

    def _nodes(self) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = self._ray.nodes()
        except self._ray.exceptions.RayError as error:
            raise self._cluster_gone(error) from error
        return found

    def _fitting(self, resources: Mapping[str, float]) -> int:
        by_cpus = resources.get("CPU", 0.0) / self._request.num_cpus
        return int(min(by_cpus, resources.get("memory", 0.0) / self._request.memory_bytes))

    def submit(self, argument: ArgumentT, *, is_copy: bool) -> Any:
        remote = self._remote
        if is_copy:  # not behind the first attempt's node, if there is another
            remote = remote.options(scheduling_strategy="SPREAD")
        return remote.remote(self._folder, self._function, argument)

    def wait(self, handles: Sequence[Any], timeout_seconds: float) -> Sequence[Any]:
        if not handles:
            time.sleep(timeout_seconds)
            return []
        ready, rest = self._ray.wait(list(handles), timeout=timeout_seconds)
        if ready and rest:  # all that are there, in one more call
            more, _ = self._ray.wait(rest, num_returns=len(rest), timeout=0)
            ready = [*ready, *more]
        return list(ready)

    def result(self, handle: Any) -> Measured[ResultT]:
        errors = self._ray.exceptions
        try:
            found: Measured[ResultT] = self._ray.get(handle)
        except (errors.NodeDiedError, errors.ObjectLostError) as error:
            raise Failure(f"its node is gone: {error}", counts=False) from error
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            raise Failure(f"its worker died: {error}", counts=True) from error
        except errors.RayTaskError as error:
            raise (error.cause or error) from error
        except errors.RaySystemError as error:
            raise Failure(str(error), counts=True) from error
        except errors.RayError as error:
            raise self._cluster_gone(error) from error
        return found

    def _cluster_gone(self, error: Exception) -> LaunchError:
        return LaunchError(
            f"stage {self._stage}: the Ray cluster is gone: {error}; look at its nodes, and "
            "run the same command again, it goes on from here"
        )

    def cancel(self, handle: Any) -> None:
        try:
            self._ray.cancel(handle, force=True)
        except (ValueError, self._ray.exceptions.RayError) as error:
            logger.info("stage=%s an attempt could not be cancelled: %s", self._stage, error)


def _run_in_folder(
    folder: str, function: Callable[[ArgumentT], ResultT], argument: ArgumentT
) -> Measured[ResultT]:
    """Run a task where the job was started, so that relative paths mean the same there.

    Raises:
        DataError: this node has no such folder.
    """
    if not Path(folder).is_dir():
        raise DataError(
            f"{folder}, where the job was started, is not a folder of node {platform.node()}: "
            "give output_dir and files as paths all nodes reach (absolute, or URLs), and start "
            "the job in a folder that all nodes have, such as /tmp"
        )
    os.chdir(folder)
    return measured(function, argument)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set what is not set yet, for what is started in the block and no longer."""
    own = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)


def _ray_arguments(config: RayRunnerConfig) -> dict[str, Any]:
    """What `ray.init` is told.

    A Ray started here listens on the loopback alone (see CLUSTER_VARIABLE). Workers of a cluster
    get this program's packages, whatever stands in their environment.
    """
    arguments: dict[str, Any] = {"log_to_driver": True, "logging_level": logging.WARNING}
    if config.address is None:
        return arguments | {
            "address": "local",
            "num_cpus": config.num_workers,
            "include_dashboard": config.include_dashboard,
            "dashboard_host": LOOPBACK,
        }
    root = Path(__file__).parents[2]
    return arguments | {
        "address": config.address,
        "runtime_env": {"py_modules": [str(root / name) for name in PACKAGES]},
    }
