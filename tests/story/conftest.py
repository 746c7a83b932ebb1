"""Cities to play in: fresh ones, and two that were played once and are looked at by several tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.story.city import FAR_TOO_MUCH_KW, PowerCut, VirtualCity, small_twin
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.performance import Performance
from vpp.domain.request import DispatchRequest
from vpp.record.entry import JournalEntry
from vpp.storage.sql import counters, open_database

LAST_OF_32_BITS = 2**31 - 1
SHARE = 0.85
"""Part of the quoted p50 that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One request that was played to its settlement, after the service was closed.

    Attributes:
        quoted_kw: What was quoted with even chances.
        verdict: What the twin's counterfactual says.
        ids: Every command id that went over a link.
        store: The database, open again.
    """

    settings: Settings
    store: Store
    quoted_kw: float
    request: DispatchRequest
    performance: Performance
    verdict: dict[str, Any]
    commands: dict[str, int]
    ids: list[int]

    @property
    def entries(self) -> list[JournalEntry]:
        """The whole journal."""
        return list(self.store.journal.entries())


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[VirtualCity]:
    """Return a city whose fleet is connected and planned."""
    made = VirtualCity(small_twin(), tmp_path)
    await made.found()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Return one request from the question to the money, nothing special happening."""
    yield from _told(tmp_path_factory.mktemp("delivered"), killed=False)


@pytest.fixture(scope="session")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Return the same with a power cut in the hold, just after commands were written down and before they left.

    Its command ids begin a little below 2**31 and go on beyond.
    """
    yield from _told(tmp_path_factory.mktemp("restarted"), killed=True)


def _told(directory: Path, *, killed: bool) -> Iterator[Story]:
    settings, told = asyncio.run(_played(directory, killed=killed))
    store = Store.open(settings.database_url)
    yield Story(settings=settings, store=store, **told)
    store.close()


def _begin_ids_at(settings: Settings, number: int) -> None:
    """Have a database of before, whose commands have come to a number."""
    engine = open_database(settings.database_url)
    with engine.begin() as connection:
        connection.execute(sa.update(counters).where(counters.c.name == "command_id").values(value=number))
    engine.dispose()


async def _played(directory: Path, *, killed: bool) -> tuple[Settings, dict[str, Any]]:
    city = VirtualCity(small_twin(), directory)
    if killed:
        _begin_ids_at(city.settings, LAST_OF_32_BITS - 100)
    await city.found()
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW))
    request = await city.commit(city.draft(round(SHARE * quoted_kw)))
    if killed:
        await city.play_until(request.draft.start_at.timestamp() + 600.0)
        city.wire.fuse_s = city.clock.now_s()
        with pytest.raises(PowerCut):
            await city.play(minutes=10.0)
        await city.kill()
        await city.dark(40.0)
        await city.boot()
    request = await city.play_out(request.id)
    told = {
        "quoted_kw": quoted_kw,
        "request": request,
        "performance": city.plant.performance(request.id),
        "verdict": city.verdict(request),
        "commands": city.plant.commands(),
        "ids": city.wire.ids,
    }
    await city.close()
    return city.settings, told
