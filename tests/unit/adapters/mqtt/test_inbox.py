"""Messages of sites as they are believed: live or kept, new or old, by which clock, field by field."""

from dataclasses import dataclass, field

import orjson
import pytest

from adapters.kit.batching import Batcher
from adapters.mqtt.command_queue import CommandQueue
from adapters.mqtt.inbox import Inbox
from adapters.mqtt.site_directory import SiteDirectory
from tests.fleets import at_one_site
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import instant
from vpp.domain.trouble import Trouble, mask_of

NOW_S = 1_784_100_000.0


@dataclass
class Heard:
    """Keeps what the link would hand to the service."""

    samples: list[tuple[int, Quantity, float, float]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Keep every sample."""
        columns = (batch.rows.tolist(), map(Quantity, batch.quantities.tolist()))
        self.samples += zip(*columns, batch.values.tolist(), batch.at_s.tolist(), strict=True)

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take none."""
        raise AssertionError(batch)

    def session(self, event: SessionEvent) -> None:
        """Take none."""
        raise AssertionError(event)

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Keep the reason."""
        assert adapter == "mqtt"
        self.rejected.append(str(reason))

    def healed(self, adapter: str, kind: str) -> None:
        """Keep the kind."""
        assert adapter == "mqtt"
        self.repaired.append(kind)


class Bench:
    """An inbox for one site with two batteries."""

    def __init__(self) -> None:
        self.directory, self.delivery, self.heard = SiteDirectory(), Batcher("mqtt", flush_wall_s=None), Heard()
        self.delivery.open(self.heard)
        self.inbox = Inbox(self.directory, CommandQueue(30.0), self.delivery)
        self.directory.assign(
            at_one_site(
                tuple(
                    Resource(
                        id=f"r{row}",
                        site_id="s",
                        resource_class=ResourceClass.STORAGE,
                        adapter=Adapter.MQTT,
                        address=f"hall/b{row}",
                        p_min_kw=-50.0,
                        p_max_kw=50.0,
                        capacity_kwh=100.0,
                    )
                    for row in range(2)
                ),
                limit_kw=9.0,
                export_limit_kw=0.0,
            )
        )

    def say(self, leaf: str, body: object, now_s: float = NOW_S, *, retained: bool = False) -> None:
        """Let the site say something."""
        self.inbox.take(f"vpp/v1/sites/hall/{leaf}", orjson.dumps(body), now_s, retained=retained)
        self.delivery.flush()

    def report(
        self, now_s: float = NOW_S, *, at_s: float | None = None, retained: bool = False, **fields: object
    ) -> None:
        """Let the first battery report."""
        at = instant(now_s if at_s is None else at_s).isoformat()
        self.say("telemetry", {"at": at, "devices": [{"id": "b0", **fields}]}, now_s, retained=retained)

    def values(self, quantity: Quantity, row: int = 0) -> list[float]:
        """Return what was handed over of a quantity, in order."""
        return [value for r, q, value, _ in self.heard.samples if (r, q) == (row, quantity)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("age_s", [0.0, 60.0, 3 * 86400.0])
def test_a_reading_the_broker_kept_is_neither_live_nor_a_sign_of_life(bench: Bench, age_s: float) -> None:
    bench.report(at_s=NOW_S - age_s, retained=True, power_kw=7.0)
    assert bench.heard.samples == []
    assert bench.heard.rejected == ["retained"]


@pytest.mark.parametrize("age_s", [700.0, 3 * 86400.0, 5e8])
def test_an_old_reading_is_neither_live_nor_a_sign_of_life(bench: Bench, age_s: float) -> None:
    bench.report(at_s=NOW_S - age_s, power_kw=7.0)
    assert bench.heard.samples == []
    assert bench.heard.rejected == ["old"]


def test_a_live_reading_is_both(bench: Bench) -> None:
    bench.report(power_kw=7.0)
    assert bench.values(Quantity.POWER_KW) == [7.0]
    assert bench.values(Quantity.CONNECTED) == [1.0]


@pytest.mark.parametrize(
    ("age_s", "retained", "connected"),
    [(0.0, False, True), (9e5, False, True), (30.0, True, True), (300.0, True, False), (9e5, True, False)],
)
def test_a_status_the_broker_kept_counts_only_if_it_is_news(
    bench: Bench,
    age_s: float,
    retained: bool,  # noqa: FBT001 - a table's columns
    connected: bool,  # noqa: FBT001 - as above
) -> None:
    bench.say("status", {"online": True, "at": instant(NOW_S - age_s).isoformat()}, retained=retained)
    assert bench.values(Quantity.CONNECTED) == ([1.0] if connected else [])
    bench.report(power_kw=7.0)
    assert bench.values(Quantity.CONNECTED) == [1.0], "the first live word tells who is there"


def test_a_kept_status_without_an_instant_is_no_news_and_a_kept_farewell_is(bench: Bench) -> None:
    bench.say("status", {"online": True}, retained=True)
    assert bench.values(Quantity.CONNECTED) == []
    bench.report(power_kw=7.0)
    bench.say("status", {"online": False}, retained=True)
    assert bench.values(Quantity.CONNECTED) == [1.0, 0.0]


def test_an_outcome_the_broker_kept_is_none(bench: Bench) -> None:
    outcome = {"id": 1, "device": "b0", "status": "accepted"}
    bench.say("outcome", {"at": instant(NOW_S).isoformat(), "outcomes": [outcome]}, retained=True)
    assert bench.heard.rejected == ["retained"]


@pytest.mark.parametrize("slow_s", [-90_000.0, -590.0, -45.0, 45.0, 300.0, 1800.0, 1.7e9])
def test_a_clock_that_is_off_is_measured_and_told(bench: Bench, slow_s: float) -> None:
    for k in range(8):
        bench.report(NOW_S + 30.0 * k, at_s=NOW_S + 30.0 * k - slow_s - (k % 3), power_kw=7.0)
    last = [at_s for _, quantity, _, at_s in bench.heard.samples if quantity is Quantity.POWER_KW][-1]
    assert NOW_S + 210.0 - 5.0 <= last <= NOW_S + 210.0
    assert abs(bench.inbox.clock_offset_s("hall") - slow_s) < 5.0
    for row in range(2):
        assert bench.values(Quantity.TROUBLES, row) == [mask_of((Trouble.CLOCK_OFF,))]
    for k in range(8, 12):
        bench.report(NOW_S + 30.0 * k, power_kw=7.0)
    assert bench.values(Quantity.TROUBLES) == [mask_of((Trouble.CLOCK_OFF,)), 0.0], "set right again"


def test_no_sample_is_ever_stamped_ahead_of_our_clock(bench: Bench) -> None:
    for k in range(6):
        bench.report(NOW_S + 10.0 * k, at_s=NOW_S + 10.0 * k + 500.0 - 90.0 * k, power_kw=7.0)
    assert len(bench.heard.samples) >= 6
    assert all(at_s <= NOW_S + 50.0 for *_, at_s in bench.heard.samples)


def test_a_queue_that_is_worked_off_is_the_past_and_no_clock_that_is_slow(bench: Bench) -> None:
    for k in range(40):
        bench.report(NOW_S + 3.0 * k, at_s=NOW_S - 2400.0 + 60.0 * k, power_kw=float(k))
    assert bench.inbox.clock_offset_s("hall") == 0.0
    young = [value for value in range(40) if 3.0 * value + 2400.0 - 60.0 * value <= 600.0]
    assert bench.values(Quantity.POWER_KW) == [float(value) for value in young]
    ages = [NOW_S + 3.0 * v - at_s for _, q, v, at_s in bench.heard.samples if q is Quantity.POWER_KW]
    assert min(ages) > 0.0


def test_a_reading_that_is_repeated_for_ever_grows_old(bench: Bench) -> None:
    for k in range(60):
        bench.report(NOW_S + 30.0 * k, at_s=NOW_S - 100.0, power_kw=7.0)
    assert bench.inbox.clock_offset_s("hall") == 0.0
    assert {at_s for _, quantity, _, at_s in bench.heard.samples if quantity is Quantity.POWER_KW} == {NOW_S - 100.0}
    assert "old" in bench.heard.rejected


def test_one_impossible_power_takes_nothing_else_along(bench: Bench) -> None:
    bench.report(power_kw=41_500.0, soc=0.5, energy_kwh=3.0, p_max_kw=9e9)
    assert bench.values(Quantity.POWER_KW) == [41_500.0], "the gate refuses it and shows it on the device"
    assert bench.values(Quantity.P_MAX_KW) == []
    assert bench.values(Quantity.SOC) == [0.5]
    assert bench.values(Quantity.ENERGY_KWH) == [3.0]
    assert bench.heard.rejected == ["implausible", "implausible"]


def test_what_is_healed_is_counted_apart(bench: Bench) -> None:
    bench.report(power_kw=1.0, soc=1.004)
    assert bench.values(Quantity.SOC) == [1.0]
    assert bench.heard.repaired == ["soc_out_of_scale"]
    assert bench.heard.rejected == []


def test_one_of_a_device_that_sends_per_cent_is_one_per_cent(bench: Bench) -> None:
    for k, soc in enumerate((40, 39.5, 3, 2, 1, 0.5, 0)):
        bench.report(NOW_S + k, power_kw=1.0, soc=soc)
    assert bench.values(Quantity.SOC) == pytest.approx([0.01, 0.005, 0.0])
    assert bench.heard.repaired == ["soc_per_cent"] * 2  # 0 is 0 either way
    assert bench.heard.rejected == ["invalid_field"] * 4
    assert len(bench.values(Quantity.POWER_KW)) == 7


def test_an_older_message_does_not_replace_what_a_device_last_said(bench: Bench) -> None:
    bench.report(NOW_S, power_kw=2.0)
    bench.report(NOW_S + 1.0, at_s=NOW_S - 30.0, power_kw=1.0)
    assert bench.inbox.latest(0) == (NOW_S, {Quantity.POWER_KW: 2.0})
