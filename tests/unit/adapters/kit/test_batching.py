"""Batches: what waits for company, in which order it is delivered, and what needs no company."""

import asyncio
import math
from typing import Any

import numpy as np

from adapters.kit.batching import Batcher
from tests.patience import PATIENCE_WALL_S
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.session import SessionEnded, SessionEvent
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity, TelemetryBatch

REFUSED = RefusedConnection(
    adapter="toy", identity="m1", peer="127.0.0.1", reason="unauthorized", first_s=1.0, last_s=1.0
)


class Journal:
    """A sink that keeps every call in its order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.called = asyncio.Event()

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Keep it."""
        self.called.set()
        columns = (batch.rows, batch.quantities, batch.values, batch.at_s)
        self.calls.append(("telemetry", list(zip(*(column.tolist() for column in columns), strict=True))))

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Keep it."""
        columns = (batch.ids, batch.rows, batch.status, batch.reasons, batch.at_s)
        self.calls.append(("outcomes", list(zip(*(column.tolist() for column in columns), strict=True))))

    def session(self, event: SessionEvent) -> None:
        """Keep it."""
        self.calls.append(("session", event))

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Keep it."""
        self.calls.append(("rejected", (adapter, reason)))

    def healed(self, adapter: str, kind: str) -> None:
        """Keep it."""
        self.calls.append(("healed", (adapter, kind)))

    def connection_refused(self, refused: RefusedConnection) -> None:
        """Keep it."""
        self.calls.append(("connection refused", refused))


def test_samples_keep_their_order_and_go_before_the_outcomes_they_were_collected_with() -> None:
    journal = Journal()
    batcher = Batcher("toy", sink=journal, flush_wall_s=None)
    batcher.outcome(9, 1, OutcomeStatus.ACCEPTED, Reason.NONE, 5.0)
    batcher.sample(2, Quantity.SOC, 0.5, 4.0)
    batcher.presence([3, 1], 4.5, connected=True)
    batcher.reading(2, 7.0, math.nan, 5.0)
    batcher.reading(2, 6.0, 11.0, 6.0)
    assert len(batcher) == 7
    batcher.flush()
    assert journal.calls == [
        (
            "telemetry",
            [
                (2, Quantity.SOC, 0.5, 4.0),
                (3, Quantity.CONNECTED, 1.0, 4.5),
                (1, Quantity.CONNECTED, 1.0, 4.5),
                (2, Quantity.POWER_KW, 7.0, 5.0),
                (2, Quantity.ENERGY_KWH, 11.0, 6.0),
                (2, Quantity.POWER_KW, 6.0, 6.0),
            ],
        ),
        ("outcomes", [(9, 1, OutcomeStatus.ACCEPTED, Reason.NONE, 5.0)]),
    ]
    assert len(batcher) == 0
    batcher.flush()
    assert len(journal.calls) == 2


def test_a_session_event_comes_after_all_that_was_before_it() -> None:
    journal = Journal()
    batcher = Batcher("toy", sink=journal, flush_wall_s=None)
    batcher.sample(0, Quantity.POWER_KW, 1.0, 1.0)
    batcher.session(SessionEnded(session_id="m1:1", row=0, at_s=2.0, meter_kwh=3.0))
    batcher.sample(0, Quantity.POWER_KW, 0.0, 2.0)
    batcher.flush()
    assert [kind for kind, _ in journal.calls] == ["telemetry", "session", "telemetry"]


def test_what_comes_before_there_is_a_sink_is_kept_for_it() -> None:
    journal, batcher = Journal(), Batcher("toy", flush_wall_s=None)
    batcher.sample(0, Quantity.POWER_KW, 1.0, 1.0)
    batcher.flush()
    batcher.outcome(1, 0, OutcomeStatus.UNREACHABLE, Reason.TIMEOUT, 2.0)
    batcher.open(journal)
    assert [kind for kind, _ in journal.calls] == ["telemetry", "outcomes"]


def test_counts_and_refusals_pass_at_once_under_the_adapters_name() -> None:
    journal = Journal()
    batcher = Batcher("toy", sink=journal, flush_wall_s=None)
    batcher.sample(0, Quantity.POWER_KW, 1.0, 1.0)
    batcher.rejected("json")
    batcher.healed("null")
    batcher.connection_refused(REFUSED)
    assert journal.calls == [
        ("rejected", ("toy", "json")),
        ("healed", ("toy", "null")),
        ("connection refused", REFUSED),
    ]


def test_a_batch_is_delivered_in_time_though_nobody_asks() -> None:
    async def collect() -> None:
        journal = Journal()
        batcher = Batcher("toy", sink=journal)
        for row in range(500):
            batcher.sample(row, Quantity.POWER_KW, float(row), 1.0)
        assert not journal.calls
        async with asyncio.timeout(PATIENCE_WALL_S):
            await journal.called.wait()
        ((_, samples),) = journal.calls
        assert np.array_equal([row for row, *_ in samples], range(500))

    asyncio.run(collect())
