"""A driver's and an operator's data erased from a service's record, which still verifies, restarts and replays."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.story.town import BEGIN_S, INDEX, resting
from tests.unit.vpp.stored import stored_bytes
from vpp.bootstrap.leadership.following import Following
from vpp.bootstrap.parts.restoration import recovered_of
from vpp.bootstrap.record import erasure_work
from vpp.bootstrap.record.audit import run_audit
from vpp.bootstrap.record.erasure import erase_driver, erase_operator, run_erase
from vpp.bootstrap.replay import run_replay
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store, archive_of
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError, InputError, StorageError, UnknownIdError
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.resource import Adapter
from vpp.domain.session import SessionEnded, SessionStarted
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import floor_s, instant
from vpp.fleet.members.change_plan import put
from vpp.fleet.members.changes import UnrecordedChange
from vpp.planning.forecast.load_forecast import forecast
from vpp.runtime.clock import MachineTime, VirtualClock
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.journal import verify
from vpp.storage.sql import facts, journal, leadership, open_database
from vpp.storage.subjects import SqlSubjects
from vpp.storage.telemetry.store import TelemetryStore

ROWS = 12
OPERATOR = replace(INDEX.operators[0], name="Harbour-Charging-Secret")
SITES = tuple(replace(site, name=f"Quay-Secret-{n}") for n, site in enumerate(INDEX.sites))


@asynccontextmanager
async def running(settings: Settings, at_s: float) -> AsyncIterator[tuple[Service, VirtualClock]]:
    """Yield a service over the settings' database; at its end a checkpoint is made."""
    clock, store = VirtualClock(at_s), Store.open(settings.database_url)
    service = Service(settings, store, clock, ())
    await service.open()
    yield service, clock
    await service.close()
    store.close()


async def cycle(service: Service, clock: VirtualClock) -> None:
    at_s = clock.now_s()
    known = ((int(Quantity.CONNECTED), 1.0), (int(Quantity.POWER_KW), 3.0))
    samples = [(row, quantity, value, at_s) for row in range(ROWS) for quantity, value in known]
    service.core.plane.telemetry(TelemetryBatch.of(samples))
    await clock.advance(at_s + 10.0)
    await service.fast.cycle()


async def lived(settings: Settings, *, asked: bool = True) -> str:
    """Let a service have two cars, one still there at its end, and a request by somebody; return the request's id.

    The plan that a request needs is put in force unrecorded, so a life that is replayed has none.
    """
    async with running(settings, BEGIN_S) as (service, clock):
        plant = service.plant
        operators = (OPERATOR, *INDEX.operators[1:])
        await plant.connect(
            areas=INDEX.areas,
            operators=operators,
            transformers=INDEX.transformers,
            sites=SITES,
            resources=INDEX.resources[:ROWS],
        )
        for row, name in enumerate(("CS-Alice:1", "CS-Bob:1")):
            event = SessionStarted(session_id=name, row=row, at_s=clock.now_s(), meter_kwh=1.0)
            service.core.ingest.session(event)
        for _ in range(3):
            await cycle(service, clock)
        service.core.ingest.session(SessionEnded(session_id="CS-Alice:1", row=0, at_s=clock.now_s(), meter_kwh=2.0))
        await cycle(service, clock)
        if not asked:
            return ""
        state = plant.fleet()
        service.plans.forecast = forecast(state, service.core.store.meters)
        service.plans.schedule = resting(len(state), state.at_s)
        start_at = instant(floor_s(clock.now_s(), 900) + 1800.0)
        draft = RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=0.5,
            area="city",
            start_at=start_at,
            end_at=start_at + timedelta(minutes=15.0),
            notice_class=NoticeClass.INTRADAY,
        )
        request, _ = await plant.submit(draft, key=None, actor="clerk-secret")
        await cycle(service, clock)
        return request.id


@pytest.fixture
def settings(tmp_path: Path, url: str) -> Settings:
    places = {"record_key": tmp_path / "key.pem", "record_heads": tmp_path / "heads"}
    return Settings.load(data_dir=tmp_path / "data", db_url=url, **places)


def bytes_of(settings: Settings) -> bytes:
    engine = open_database(settings.database_url)
    found = stored_bytes(engine, settings.data_dir.parent)
    engine.dispose()
    return found


async def test_names_survive_a_restart_and_stand_in_no_entry(settings: Settings) -> None:
    request_id = await lived(settings)
    async with running(settings, BEGIN_S + 600.0) as (service, clock):
        await cycle(service, clock)
        assert [one.id for one in service.plant.sessions()] == ["CS-Bob:1"]
        actors = {step.actor for step in service.plant.request(request_id).history}
        assert actors == {"clerk-secret", "service"}
        entries = str([entry.body for entry in service.core.store.journal.entries()])
    for name in ("CS-Alice", "CS-Bob", "clerk-secret"):
        assert name not in entries


async def test_a_standby_shows_the_names_of_actors(settings: Settings) -> None:
    request_id = await lived(settings)
    following = Following(settings, MachineTime())
    following.catch_up()
    assert following.requests is not None
    (request,) = following.requests
    assert request.id == request_id
    assert {step.actor for step in request.history} == {"clerk-secret", "service"}
    following.close()


async def test_a_driver_is_erased_from_every_file(settings: Settings) -> None:
    await lived(settings)
    assert b"CS-Alice" in bytes_of(settings)
    planned = erase_driver(settings, ["CS-Alice"], dry_run=True)
    assert planned.dry_run
    assert list(planned.goes.values()) == [1, 0, 1]
    assert b"CS-Alice" in bytes_of(settings)
    assert erase_driver(settings, ["CS-Alice"]).goes == planned.goes
    assert b"CS-Alice" not in bytes_of(settings)
    assert b"CS-Bob" in bytes_of(settings)
    with pytest.raises(UnknownIdError):
        erase_driver(settings, ["CS-Alice"])


@pytest.mark.parametrize("asked", [True, False])
async def test_after_an_erasure_the_record_verifies_restarts_and_replays(
    *, settings: Settings, capsys: pytest.CaptureFixture[str], asked: bool
) -> None:
    request_id = await lived(settings, asked=asked)
    store = Store.open(settings.database_url)
    before = verify(store.database)
    store.close()
    erase_driver(settings, ["CS-Alice:1", "CS-Bob:1"])
    store = Store.open(settings.database_url)
    assert verify(store.database).count == before.count + 1, "and the entry that says which samples are gone"
    store.close()
    async with running(settings, BEGIN_S + 600.0) as (service, clock):
        (session,) = service.plant.sessions()
        assert session.id.startswith("~")
        assert session.row == 1
        service.core.ingest.session(SessionStarted(session_id="CS-Bob:2", row=1, at_s=clock.now_s(), meter_kwh=3.0))
        for _ in range(3):
            await cycle(service, clock)
        assert [one.id for one in service.plant.sessions()] == ["CS-Bob:2"]
        assert [request.id for request in service.plant.requests()] == ([request_id] if asked else [])
    if asked:
        return
    capsys.readouterr()
    assert run_replay(settings, as_json=True) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["cycles"] > 0


async def test_a_session_begun_under_an_earlier_version_ends_under_this_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(SqlSubjects, "sealed", lambda _self, _kind, body, _sequence: body)
        await lived(settings, asked=False)
    async with running(settings, BEGIN_S + 600.0) as (service, clock):
        assert [one.id for one in service.plant.sessions()] == ["CS-Bob:1"]
        service.core.ingest.session(SessionEnded(session_id="CS-Bob:1", row=1, at_s=clock.now_s(), meter_kwh=3.0))
        await cycle(service, clock)
    async with running(settings, BEGIN_S + 1200.0) as (service, clock):
        await cycle(service, clock)
        assert list(service.plant.sessions()) == []


async def test_an_operator_loses_its_names_and_keeps_its_ids(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await lived(settings)
    mine = [site for site in SITES if site.operator_id == OPERATOR.id]
    async with running(settings, BEGIN_S + 600.0) as (service, _):
        await service.plant.put_member(replace(OPERATOR, name="Harbour-Renamed-Secret"), actor=OPERATOR.name)
    erased = erase_operator(settings, OPERATOR.id)
    assert erased.goes["names in the registry"] == 2 + len(mine), "and the name it had before"
    assert erased.goes["names of actors"] == 1
    files = bytes_of(settings)
    assert not any(name.encode() in files for name in ("Harbour", *(site.name for site in mine)))
    assert all(site.name.encode() in files for site in SITES if site not in mine)
    store = Store.open(settings.database_url)
    index = store.registry.load()
    verify(store.database)
    store.close()
    assert (index.operators[0].id, index.operators[0].name) == (OPERATOR.id, "")
    assert [site.id for site in index.sites] == [site.id for site in SITES]
    with pytest.raises(UnknownIdError):
        erase_operator(settings, "nobody")
    assert run_erase(erased, as_json=False) == 0
    assert "numbers without a name" in capsys.readouterr().out


async def test_a_change_that_a_crash_has_kept_out_of_the_journal_brings_no_name_back(settings: Settings) -> None:
    await lived(settings)
    store = Store.open(settings.database_url)
    index = store.registry.load()
    renamed = replace(OPERATOR, name="Harbour-Renamed-Secret")
    change = put(index, renamed, at_s=BEGIN_S + 300.0, actor=OPERATOR.name)
    bodies = tuple({**body, "resources": len(index)} for body in change.bodies())
    unrecorded = UnrecordedChange(at_s=change.at_s, after=store.journal.sequence, bodies=bodies)
    store.registry.save(index, change, unrecorded)  # and here the service was killed
    store.close()
    assert erase_operator(settings, OPERATOR.id).goes["names of actors"] == 1
    assert b"Harbour" not in bytes_of(settings)
    async with running(settings, BEGIN_S + 600.0):
        pass
    assert b"Harbour" not in bytes_of(settings)


async def test_an_entry_that_a_crash_has_torn_is_set_aside_before_anything_is_appended(settings: Settings) -> None:
    await lived(settings, asked=False)
    store = Store.open(settings.database_url)
    last = store.journal.sequence
    with store.database.begin() as connection:
        connection.execute(sa.update(journal).where(journal.c.sequence == last).values(body="{", packed=None))
    store.close()
    erase_operator(settings, OPERATOR.id)
    store = Store.open(settings.database_url)
    verify(store.database)
    assert [entry.sequence for entry in store.journal.entries(("journal.torn",))] == [last]
    store.close()


async def test_an_operator_whose_erasure_failed_is_erased_whole_the_next_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lived(settings)
    planned = erase_operator(settings, OPERATOR.id, dry_run=True)
    with monkeypatch.context() as failing:
        failing.setattr(erasure_work, "erase", _refused)
        with pytest.raises(StorageError):
            erase_operator(settings, OPERATOR.id)
    assert erase_operator(settings, OPERATOR.id).goes == planned.goes
    assert OPERATOR.name.encode() not in bytes_of(settings)


async def test_a_driver_erased_again_overwrites_what_an_erasure_cut_short_has_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    overwritten: list[sa.Engine] = []
    await lived(settings)
    monkeypatch.setattr(erasure_work, "overwrite_free_pages", _refused)
    with pytest.raises(StorageError):
        erase_driver(settings, ["CS-Alice"])
    monkeypatch.setattr(erasure_work, "overwrite_free_pages", overwritten.append)
    with pytest.raises(UnknownIdError):
        erase_driver(settings, ["CS-Alice"], dry_run=True)
    assert not overwritten
    with pytest.raises(UnknownIdError):
        erase_driver(settings, ["CS-Alice"])
    assert len(overwritten) == 1


def _refused(*_anything: object) -> None:
    raise StorageError("the disk is full")


async def test_a_leader_that_runs_is_not_erased_under_its_feet(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lived(settings)
    store = Store.open(settings.database_url)

    def renew(_: float) -> None:
        with store.database.begin() as connection:  # by a machine whose wall clock is slow
            connection.execute(leadership.update().values(renewals=leadership.c.renewals + 1, until_s=1.0))

    with store.database.begin() as connection:
        connection.execute(leadership.update().values(holder="host:1"))
    monkeypatch.setattr(erasure_work, "sleep", renew)
    with pytest.raises(ConfigurationError, match="host:1"):
        erase_driver(settings, ["CS-Alice"])
    assert erase_driver(settings, ["CS-Alice"], dry_run=True).goes
    store.close()


async def test_a_leader_that_was_killed_is_not_waited_for_longer_than_its_lease(settings: Settings) -> None:
    settings = settings.model_copy(update={"leader_ttl_wall_s": 0.1})
    await lived(settings)
    store = Store.open(settings.database_url)
    with store.database.begin() as connection:
        connection.execute(leadership.update().values(holder="host:1", until_s=1e12))
    store.close()
    assert erase_driver(settings, ["CS-Alice"]).goes


def as_before_tokens(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
    """Let what is written within be as an earlier version wrote it, with names in clear."""

    @contextmanager
    def earlier() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(SqlSubjects, "sealed", lambda _self, _kind, body, _sequence: body)
            yield
        store = Store.open(settings.database_url)
        begins = sa.update(facts).where(facts.c.name == "sealed_from").values(value=str(store.journal.sequence + 1))
        with store.database.begin() as connection:
            connection.execute(begins)
        store.close()

    return earlier()


async def test_names_of_before_the_tokens_are_in_no_file_and_the_record_verifies(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with as_before_tokens(settings, monkeypatch):
        request_id = await lived(settings)
    assert b"CS-Alice:1" in bytes_of(settings)
    planned = erase_driver(settings, ["CS-Alice:1", "CS-Bob"], dry_run=True)
    assert planned.goes["entries of an earlier version with such names"] >= 3
    assert erase_driver(settings, ["CS-Alice:1", "CS-Bob"]).goes == planned.goes
    assert not any(name in bytes_of(settings) for name in (b"CS-Alice", b"CS-Bob"))
    assert run_audit(settings, as_json=False) == 0
    assert "names were erased from" in capsys.readouterr().out
    async with running(settings, BEGIN_S + 600.0) as (service, clock):
        (session,) = service.plant.sessions()
        assert (session.id[0], session.row) == ("~", 1)
        assert {step.actor for step in service.plant.request(request_id).history} == {"clerk-secret", "service"}
        await cycle(service, clock)
        recovered = recovered_of(service.core)
        assert recovered.base > 0, "a checkpoint without the names is used"
    assert run_audit(settings, as_json=False) == 0


async def test_an_operator_of_before_the_tokens_loses_its_names_in_entries_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with as_before_tokens(settings, monkeypatch):
        await lived(settings)
        async with running(settings, BEGIN_S + 600.0) as (service, _):
            await service.plant.put_member(replace(OPERATOR, name="Harbour-Renamed-Secret"), actor=OPERATOR.name)
    assert erase_operator(settings, OPERATOR.id).goes["entries of an earlier version with such names"] > 0
    assert b"Harbour" not in bytes_of(settings)
    assert run_audit(settings, as_json=False) == 0


async def test_a_record_that_does_not_verify_loses_no_name_unseen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with as_before_tokens(settings, monkeypatch):
        await lived(settings)
    store = Store.open(settings.database_url)
    with store.database.begin() as connection:
        connection.execute(sa.update(journal).where(journal.c.sequence == 2).values(at_s=1.0))
    store.close()
    with pytest.raises(ConfigurationError, match="does not verify"):
        erase_driver(settings, ["CS-Alice:1"])


async def test_nobody_without_the_key_has_an_entry_redacted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with as_before_tokens(settings, monkeypatch):
        await lived(settings)
    with monkeypatch.context() as unsigned:
        unsigned.setattr(SqlAnchor, "export", lambda *_anything, **_more: None)
        erase_driver(settings, ["CS-Alice:1"])
    assert run_audit(settings, as_json=False) == 1


def archived(settings: Settings) -> None:
    """Move recorded frames to the telemetry store, as the service's archive does."""
    database = open_database(settings.database_url)
    clock = VirtualClock(BEGIN_S)
    archive = archive_of(settings, database, clock)
    assert archive is not None
    archive.catch_up()
    archive.store.compact(at_s=BEGIN_S)
    archive.close()
    database.dispose()


def rows_kept(settings: Settings) -> tuple[set[int], set[int]]:
    """Return the rows of which samples are kept: in frames, and in the telemetry store."""
    store = Store.open(settings.database_url)
    frames = {int(row) for frame in store.samples.iterate() for row in frame.batch.rows}
    store.close()
    assert settings.telemetry_place is not None
    telemetry = TelemetryStore(settings.telemetry_place)
    placed = {int(row) for row in telemetry.latest(since_s=0.0, to_s=2e9).rows}
    telemetry.close()
    return frames, placed


async def test_samples_of_a_session_go_with_it_and_the_replay_says_so(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await lived(settings, asked=False)
    archived(settings)
    assert rows_kept(settings) == (set(range(ROWS)), set(range(ROWS)))
    assert run_replay(settings, as_json=True) == 0
    whole = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert whole["undecided"] == 0

    assert erase_driver(settings, ["CS-Bob"]).goes["devices whose samples were recorded"] == 1
    rest = set(range(ROWS)) - {1}
    assert rows_kept(settings) == (rest, rest)
    async with running(settings, BEGIN_S + 600.0) as (service, clock):
        for _ in range(3):
            await cycle(service, clock)
    capsys.readouterr()
    assert run_replay(settings, as_json=True) == 0, "what was erased is no difference"
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["differences"] == 0
    assert (again["undecided"], again["cycles"]) == (whole["cycles"], 3)
    assert "samples of 1 devices were erased" in str(again["undecided_why"])
    assert run_replay(settings, last=True, as_json=False) == 0
    assert "cannot be decided again" not in capsys.readouterr().out
    assert run_audit(settings, as_json=False) == 0


async def test_a_run_that_took_an_erased_sample_hours_late_cannot_be_decided_again(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await lived(settings, asked=False)
    async with running(settings, BEGIN_S + 10_000.0) as (service, clock):
        await cycle(service, clock)
        kept = TelemetryBatch.of([(0, int(Quantity.ENERGY_KWH), 7.0, BEGIN_S + 20.0)])  # by a station that was away
        service.core.plane.telemetry(kept)
        await cycle(service, clock)
    capsys.readouterr()
    assert run_replay(settings, as_json=True) == 0
    whole = json.loads(capsys.readouterr().out.splitlines()[-1])
    erase_driver(settings, ["CS-Alice"])
    capsys.readouterr()
    assert run_replay(settings, as_json=True) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (again["cycles"], again["undecided"]) == (1, whole["cycles"] - 1)


async def test_a_station_of_a_drivers_own_loses_every_sample(settings: Settings) -> None:
    await lived(settings, asked=False)
    archived(settings)
    station = next(one for one in INDEX.resources[:ROWS] if one.adapter is Adapter.OCPP)
    row = INDEX.resources.index(station)
    erase_driver(settings, [station.address.rpartition("/")[0]])
    frames, placed = rows_kept(settings)
    assert row not in frames | placed
    assert len(frames) == len(placed) < ROWS


async def test_an_empty_id_names_no_device(settings: Settings) -> None:
    await lived(settings, asked=False)
    with pytest.raises(InputError, match="ids"):
        erase_driver(settings, ["CS-Alice", ""])
    archived(settings)
    assert rows_kept(settings) == (set(range(ROWS)), set(range(ROWS)))


async def test_samples_at_an_operators_sites_go_with_it_and_those_of_others_stay(settings: Settings) -> None:
    await lived(settings, asked=False)
    archived(settings)
    sites = {site.id for site in SITES if site.operator_id == OPERATOR.id}
    theirs = {row for row, one in enumerate(INDEX.resources[:ROWS]) if one.site_id in sites}
    assert erase_operator(settings, OPERATOR.id).goes["devices whose samples were recorded"] == len(theirs)
    rest = set(range(ROWS)) - theirs
    assert rows_kept(settings) == (rest, rest)
