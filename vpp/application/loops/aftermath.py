"""What follows from a cycle and influences none: each step by itself, so that a fault in one stops no other."""

from collections.abc import Callable, Mapping

import structlog

from vpp.runtime.supervisor import fault_in

_log = structlog.get_logger(__name__)


class Aftermath:
    """Does the steps that follow a cycle; a fault is logged once, not in every cycle in which it comes again."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}

    def follow(self, steps: Mapping[str, Callable[[], object]]) -> None:
        """Do the steps in their order, whatever becomes of each."""
        for name, step in steps.items():
            self._tell(name, fault_in(step))

    def _tell(self, name: str, fault: Exception | None) -> None:
        before, now = self._faults.pop(name, ""), "" if fault is None else repr(fault)
        if now:
            self._faults[name] = now
        if now and now != before:
            _log.error("news of cycles incomplete", part=name, exc_info=fault)
        elif before and not now:
            _log.info("news of cycles complete again", part=name)
