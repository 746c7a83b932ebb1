"""Troubles of devices: masks of links and what the service sees, with beginnings, log lines and counts."""

from collections.abc import Iterator

import numpy as np
import pytest
import structlog

from tests.fleets import at_one_site
from vpp.application.watch.device_troubles import PATIENCE_S, REMEMBERED_S, DeviceTroubles, labels_of
from vpp.domain.health import RejectedValue
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.trouble import WORDS, Trouble, mask_of
from vpp.fleet.index import FleetIndex
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules

NOW_S, COUNT = 1_784_088_000.0, 40
HALL = 1


def fleet(count: int = COUNT) -> FleetIndex:
    return at_one_site(
        tuple(
            Resource(
                id=f"r{row}",
                site_id="s",
                resource_class=ResourceClass.HVAC if row == HALL else ResourceClass.EV,
                adapter=Adapter.MQTT if row == HALL else Adapter.OCPP,
                address=f"s/{row}",
                p_min_kw=0.0,
                p_max_kw=11.0,
            )
            for row in range(count)
        ),
        limit_kw=1e3,
        export_limit_kw=1e3,
    )


class Watch:
    """A fleet whose troubles are followed."""

    def __init__(self) -> None:
        self.image = ProcessImage(fleet())
        self.ingest = Ingest(self.image, QualityRules())
        self.book, self.ignoring, self.now_s = DeviceTroubles(), np.zeros(COUNT, dtype=np.bool_), NOW_S

    def say(self, quantity: Quantity, value: float, *rows: int) -> None:
        """Let devices say something now."""
        samples = [(row, int(quantity), value, self.now_s) for row in rows]
        self.ingest.telemetry(TelemetryBatch.of(samples), self.now_s)

    def cycle(self, after_s: float = 10.0) -> None:
        """Let time and a cycle pass."""
        self.now_s += after_s
        state = self.ingest.snapshot(self.now_s)
        self.book.follow(state, self.image, self.ingest.gate, self.ignoring)

    def of(self, row: int) -> list[Trouble]:
        """Return the troubles of a row."""
        return [trouble for trouble, _ in self.book.of(row)]


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs() as captured:
        yield captured  # type: ignore[misc]  # entries are mutable mappings


def test_what_a_link_says_begins_and_ends(watch: Watch) -> None:
    watch.say(Quantity.TROUBLES, float(mask_of([Trouble.FAULTED, Trouble.WHOLE_AMPERES_ONLY])), 3)
    watch.cycle()
    assert watch.book.of(3) == [(Trouble.WHOLE_AMPERES_ONLY, NOW_S + 10.0), (Trouble.FAULTED, NOW_S + 10.0)]
    watch.cycle()
    watch.say(Quantity.TROUBLES, float(mask_of([Trouble.FAULTED])), 3)
    watch.cycle()
    assert watch.book.of(3) == [(Trouble.FAULTED, NOW_S + 10.0)]
    assert watch.book.rows_with(Trouble.FAULTED, COUNT).nonzero()[0].tolist() == [3]
    watch.say(Quantity.TROUBLES, 0.0, 3)
    watch.cycle()
    assert watch.of(3) == []
    assert watch.book.counts.total == {}


def test_a_device_without_measurements_is_not_metered_and_one_that_falls_silent_is_frozen(watch: Watch) -> None:
    watch.say(Quantity.CONNECTED, 1.0, 0, HALL, 2)
    watch.say(Quantity.PLUGGED, 1.0, 0)
    watch.say(Quantity.POWER_KW, 5.0, HALL)
    watch.cycle()
    watch.cycle(PATIENCE_S - 60.0)
    assert watch.of(0) == watch.of(HALL) == []
    watch.cycle(100.0)
    assert watch.of(0) == [Trouble.NOT_METERED]
    assert watch.of(HALL) == [Trouble.METER_FROZEN]
    assert watch.of(2) == [], "an empty station has nothing to measure"
    assert watch.book.counts.silent() == {"ocpp": 1, "mqtt": 1}
    for row in (0, HALL):
        watch.say(Quantity.POWER_KW, 5.0, row)
    watch.cycle()
    assert watch.of(0) == watch.of(HALL) == []


def test_refused_values_and_stamps_are_a_trouble_for_a_while(watch: Watch) -> None:
    watch.say(Quantity.POWER_KW, 7000.0, HALL)
    watch.ingest.telemetry(TelemetryBatch.of([(4, int(Quantity.POWER_KW), 5.0, NOW_S + 5000.0)]), NOW_S)
    watch.cycle()
    assert watch.of(HALL) == [Trouble.IMPLAUSIBLE_VALUES]
    assert watch.of(4) == [Trouble.CLOCK_OFF]
    watch.cycle(REMEMBERED_S)
    assert watch.of(HALL) == watch.of(4) == []


def test_a_power_that_stands_beyond_the_nameplate_is_implausible_not_missing(watch: Watch) -> None:
    watch.say(Quantity.CONNECTED, 1.0, HALL)
    for _ in range(30):
        watch.say(Quantity.POWER_KW, 20.0, HALL)
        watch.cycle()
    assert watch.of(HALL) == [Trouble.IMPLAUSIBLE_VALUES]


def test_who_accepts_and_does_not_follow_is_known(watch: Watch) -> None:
    watch.ignoring[5] = True
    watch.cycle()
    assert watch.of(5) == [Trouble.IGNORES_LIMITS]


def test_who_is_held_below_its_promise_for_a_transformer_is_known_while_it_is(watch: Watch) -> None:
    state = watch.ingest.snapshot(watch.now_s)
    for rows, troubles in (([5], [Trouble.BELOW_PROMISE]), ([], [])):
        held = np.array(rows, dtype=np.int32)
        watch.book.follow(state, watch.image, watch.ingest.gate, watch.ignoring, held)
        assert watch.of(5) == troubles
        assert labels_of(watch.book.counts) == ({("ocpp", "below_promise"): 1} if rows else {})


def test_counts_are_by_adapter_with_bounded_labels(watch: Watch) -> None:
    watch.say(Quantity.TROUBLES, float(mask_of([Trouble.FAULTED])), 0, HALL, 2)
    watch.cycle()
    assert labels_of(watch.book.counts) == {("ocpp", "faulted"): 2, ("mqtt", "faulted"): 1}


def test_a_trouble_is_logged_once_when_it_begins_and_once_when_it_ends(
    watch: Watch, lines: list[dict[str, object]]
) -> None:
    watch.say(Quantity.TROUBLES, float(mask_of([Trouble.FAULTED])), 3)
    for _ in range(3):
        watch.cycle()
    watch.say(Quantity.TROUBLES, 0.0, 3)
    for _ in range(3):
        watch.cycle()
    assert [(line["event"], line["resource"], line["chinese"]) for line in lines] == [
        ("device trouble begins", "r3", WORDS[Trouble.FAULTED].chinese),
        ("device trouble ends", "r3", WORDS[Trouble.FAULTED].chinese),
    ]


def test_a_mass_event_is_one_line(watch: Watch, lines: list[dict[str, object]]) -> None:
    watch.say(Quantity.TROUBLES, float(mask_of([Trouble.FAULTED])), *range(COUNT))
    watch.cycle()
    (line,) = lines
    assert (line["devices"], line["trouble"], line["examples"]) == (COUNT, "faulted", ["r0", "r1", "r2", "r3", "r4"])


def test_what_comes_and_goes_all_the_time_does_not_fill_the_log(watch: Watch, lines: list[dict[str, object]]) -> None:
    for n in range(200):
        watch.say(Quantity.TROUBLES, float(mask_of([Trouble.FAULTED])) * (n % 2), 3)
        watch.cycle(1.0)
    assert len([line for line in lines if "resource" in line]) <= 60


def test_a_fleet_that_grows_is_followed(watch: Watch) -> None:
    watch.say(Quantity.TROUBLES, 1.0, 3)
    watch.cycle()
    watch.image.resize(fleet(COUNT + 2))
    watch.ignoring = np.append(watch.ignoring, [False, False])
    watch.say(Quantity.TROUBLES, 1.0, COUNT + 1)
    watch.cycle()
    assert watch.of(3) == watch.of(COUNT + 1) == [Trouble.NOT_METERED]
    assert watch.book.of(COUNT + 7) == ()


@pytest.mark.parametrize(
    ("refused", "text"),
    [
        ((Quantity.POWER_KW, "range", 7000.0, 0.0), "power 7,000 kW, nameplate 11 kW, 12 s ago"),
        ((Quantity.SOC, "rate", 0.0, 0.0), "state of charge 0, 12 s ago"),
        ((Quantity.POWER_KW, "future", 5.0, 700.0), "power 5 kW, stamped 700 s ahead, 12 s ago"),
        ((Quantity.POWER_KW, "not_a_number", np.nan, 0.0), "power nan kW, nameplate 11 kW, 12 s ago"),
    ],
)
def test_what_was_refused_reads_in_one_line(refused: tuple[Quantity, str, float, float], text: str) -> None:
    quantity, kind, value, ahead_s = refused
    shown = RejectedValue(quantity=quantity, kind=kind, value=value, nameplate_kw=11.0, age_s=12.0, ahead_s=ahead_s)
    assert shown.text == text


def test_a_fleet_that_grew_after_the_picture_was_taken_is_looked_at_in_the_next(watch: Watch) -> None:
    before = watch.ingest.snapshot(watch.now_s)
    watch.image.resize(fleet(2 * COUNT))
    watch.ignoring = np.append(watch.ignoring, np.zeros(COUNT, dtype=np.bool_))
    watch.book.follow(before, watch.image, watch.ingest.gate, watch.ignoring)
    assert len(watch.book.rows_with(Trouble.FAULTED, COUNT)) == COUNT
    watch.say(Quantity.TROUBLES, mask_of([Trouble.FAULTED]), 2 * COUNT - 1)
    watch.cycle()
    assert watch.of(2 * COUNT - 1) == [Trouble.FAULTED]
