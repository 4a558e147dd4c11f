"""Says why a step failed: in a cluster the engine itself does not.

With `--process-id` and `--addresses`, Bytewax 0.21.1 ends on an exception with `PanicException:
Send thread panic: Any` and nothing else. So every step's code is wrapped: what it raises is logged,
with the step, and raised again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import structlog
from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution

_log = structlog.get_logger(__name__)

_LOGIC = ("on_batch", "on_notify", "on_eof", "snapshot")
_SOURCE = ("next_batch", "snapshot", "close")
_SINK = ("write_batch", "snapshot", "close")


def log_failures(flow: Dataflow) -> Dataflow:
    """`flow`, whose steps log what they raise. Call it when the flow is complete.

    After one has failed the others are not closed: to close is to deliver, which no epoch waits for
    any more, and what is raised there would abort the process (a panic in a destructor).
    """
    _Steps().wrap(flow.substeps)
    return flow


class _Steps:
    def __init__(self) -> None:
        self._failed = False

    def wrap(self, steps: Iterable[Any]) -> None:
        for step in steps:
            kind = type(step).__name__
            name = step.step_id
            if kind == "flat_map_batch":
                # Steps are frozen for their users; the engine reads them when the flow starts.
                object.__setattr__(step, "mapper", self._telling(step.mapper, name))
            elif kind == "stateful_batch":
                object.__setattr__(step, "builder", self._building(step.builder, name, _LOGIC))
            elif kind == "input":
                step.source.build_part = self._building(step.source.build_part, name, _SOURCE)
            elif kind == "output":
                step.sink.build_part = self._building(step.sink.build_part, name, _SINK)
            self.wrap(step.substeps)

    def _building(
        self, build: Callable[..., Any], step_id: str, methods: Iterable[str]
    ) -> Callable[..., Any]:
        """`build` with failures logged, its own and those of `methods` of what it builds."""

        def building(*arguments: Any) -> Any:
            built = build(*arguments)
            for name in methods:
                setattr(built, name, self._telling(getattr(built, name), step_id))
            return built

        return self._telling(building, step_id)

    def _telling(self, function: Callable[..., Any], step_id: str) -> Callable[..., Any]:
        @wraps(function)
        def telling(*arguments: Any) -> Any:
            if self._failed and getattr(function, "__name__", "") == "close":
                return None
            try:
                return function(*arguments)
            except (StopIteration, AbortExecution):
                raise
            except Exception:
                self._failed = True
                _log.exception("step failed", step=step_id)
                raise

        return telling
