"""Nothing is committed while it could be forgotten, or on a record that is not trusted."""

from types import SimpleNamespace

import pytest

from vpp.application.requests.commitment_gate import CommitmentGate
from vpp.domain.errors import StorageError, UnverifiedError


class _Trust:
    """A record that is trusted or not."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.covered = 0

    async def require(self) -> None:
        """Refuse if there is a fault."""
        if self.fault is not None:
            raise self.fault

    async def committed(self) -> None:
        """Count."""
        self.covered += 1


def _require(fault: Exception | None = None) -> None:
    if fault is not None:
        raise fault


@pytest.mark.parametrize(
    ("storage", "record"),
    [(StorageError("full"), None), (None, UnverifiedError("cut")), (None, None)],
)
async def test_both_have_to_agree(storage: Exception | None, record: Exception | None) -> None:
    trust = _Trust(record)
    gate = CommitmentGate(SimpleNamespace(require=lambda: _require(storage)), trust)  # type: ignore[arg-type] # as much as is asked
    fault = storage or record
    if fault is None:
        await gate.require()
    else:
        with pytest.raises(type(fault), match=str(fault)):
            await gate.require()
    await gate.made()
    assert trust.covered == 1
