"""Looks into a model while it runs: statistics of each module, and the first one to make a NaN.

Hooks on the modules of the caller's model, taken off at the end of a `with` block; the model itself
knows nothing of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


@dataclass(frozen=True)
class Statistics:
    """Of one tensor, in fp32."""

    mean: float
    std: float
    absmax: float
    num_not_finite: int

    @staticmethod
    def of(tensor: Tensor) -> "Statistics":
        """Statistics over all elements; those that are not finite are counted and left out."""
        values = tensor.detach().float().flatten()
        finite = values[torch.isfinite(values)]
        num_not_finite = values.numel() - finite.numel()
        if not finite.numel():
            return Statistics(float("nan"), float("nan"), float("nan"), num_not_finite)
        std = float(finite.std(correction=0))
        return Statistics(float(finite.mean()), std, float(finite.abs().max()), num_not_finite)


@dataclass(frozen=True)
class NotFinite:
    """Where the first NaN or Inf of a pass came up."""

    module: str
    module_class: str
    direction: Literal["forward", "backward"]
    num_not_finite: int
    num_values: int
    num_not_finite_inputs: int
    """Of what went into the module: then the fault lies between it and the modules before it."""
    input_absmax: float
    """Of what went into the module and is finite."""
    bad_parameters: tuple[str, ...]
    """The module's parameters that are not finite themselves: then the fault is older."""

    def __str__(self) -> str:
        """One line for a person."""
        if self.bad_parameters:
            cause = f"its {', '.join(self.bad_parameters)} already held such values"
        elif self.num_not_finite_inputs:
            cause = "what went in held some already: an operation between modules, before this one"
        elif self.direction == "backward":
            cause = "in the gradient of its output: made by what follows it"
        else:
            cause = f"what went in was finite, at most {self.input_absmax:.3g}"
        return (
            f"first NaN or Inf: module {self.module} ({self.module_class}), {self.direction} pass, "
            f"{self.num_not_finite} of {self.num_values} values; {cause}"
        )


@dataclass
class ModuleRecord:
    """What one module showed in the last pass."""

    activation: Statistics | None = None
    activation_gradient: Statistics | None = None


@dataclass
class Probe:
    """Hooks on every leaf module, in place within a `with` block."""

    model: nn.Module
    records: dict[str, ModuleRecord] = field(default_factory=dict)
    """By name, in the order of the forward pass."""
    not_finite: NotFinite | None = None
    _handles: list[RemovableHandle] = field(default_factory=list)

    def __enter__(self) -> "Probe":
        for name, module in leaf_modules(self.model):
            hook = partial(self._after_forward, name)
            self._handles.append(module.register_forward_hook(hook))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _after_forward(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        found = Statistics.of(output)
        self.records[name] = ModuleRecord(activation=found)
        self._look(name, module, "forward", found, output, tuple(inputs))
        if output.requires_grad:
            hook = partial(self._after_backward, name, module)
            output.register_hook(hook)  # type: ignore[no-untyped-call] # torch's

    def _after_backward(self, name: str, module: nn.Module, gradient: Tensor) -> None:
        """`gradient` is of the module's output: made by the module that comes behind it."""
        found = Statistics.of(gradient)
        self.records[name].activation_gradient = found
        self._look(name, module, "backward", found, gradient, ())

    def _look(
        self,
        name: str,
        module: nn.Module,
        direction: Literal["forward", "backward"],
        found: Statistics,
        made: Tensor,
        inputs: tuple[Any, ...],
    ) -> None:
        if not found.num_not_finite or self.not_finite is not None:
            return
        given = [Statistics.of(t) for t in inputs if isinstance(t, Tensor) if t.is_floating_point()]
        self.not_finite = NotFinite(
            module=name,
            module_class=type(module).__name__,
            direction=direction,
            num_not_finite=found.num_not_finite,
            num_values=made.numel(),
            num_not_finite_inputs=sum(statistics.num_not_finite for statistics in given),
            input_absmax=max((statistics.absmax for statistics in given), default=0.0),
            bad_parameters=tuple(
                n for n, p in module.named_parameters() if not bool(torch.isfinite(p).all())
            ),
        )


def leaf_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules without children, by name, but those that pass on what they get."""
    for name, module in model.named_modules():
        is_plain = isinstance(module, nn.Identity | nn.Dropout)
        if not is_plain and not any(True for _ in module.children()):
            yield name or type(model).__name__, module


def parameter_statistics(model: nn.Module) -> dict[str, tuple[Statistics, Statistics | None]]:
    """Of each parameter and of its gradient, where it has one."""
    return {
        name: (
            Statistics.of(parameter),
            None if parameter.grad is None else Statistics.of(parameter.grad),
        )
        for name, parameter in model.named_parameters()
    }
