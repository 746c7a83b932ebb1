"""Steps after a cycle that influence no cycle, isolated from one another: a fault in one stops no other."""

from collections.abc import Callable, Mapping

import structlog

from vpp.runtime.supervisor import fault_in

_log = structlog.get_logger(__name__)


class Aftermath:
    """Runs the steps after a cycle; a fault is logged once, not in every cycle in which it recurs."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}

    def follow(self, steps: Mapping[str, Callable[[], object]]) -> None:
        """Run the steps in their order, each whatever became of the others."""
        for name, step in steps.items():
            self._report(name, fault_in(step))

    def _report(self, name: str, fault: Exception | None) -> None:
        before, now = self._faults.pop(name, ""), "" if fault is None else repr(fault)
        if now:
            self._faults[name] = now
        if now and now != before:
            _log.error("news of cycles incomplete", part=name, exc_info=fault)
        elif before and not now:
            _log.info("news of cycles complete again", part=name)
