"""File of an operator's decision on a restored record, beside the heads: the running service takes it from there."""

import os
from pathlib import Path

from vpp.domain.errors import FrameError
from vpp.record.decisions import RestoreDecision


class DecisionFile:
    """Decision on one fleet's record."""

    def __init__(self, folder: Path, fleet: str) -> None:
        self.path = folder / f"{fleet}.decision"

    def write(self, decision: RestoreDecision) -> None:
        """Keep a decision, in place of one that was not carried out yet."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(decision.text())
        draft.chmod(0o600)
        draft.replace(self.path)

    def read(self) -> RestoreDecision | None:
        """Return the decision, ``None`` where there is none."""
        try:
            return RestoreDecision.of_text(self.path.read_bytes())
        except (FileNotFoundError, FrameError):
            return None

    def remove(self) -> None:
        """Take the decision away."""
        self.path.unlink(missing_ok=True)
