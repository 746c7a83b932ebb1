"""A process hears every site under one subscription, or its own one by one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from adapters.mqtt.site_directory import SiteDirectory
from adapters.mqtt.subscriptions import SiteSubscriptions
from tests.conformance.bus_parts import city, until
from vpp.domain.resource import Adapter

LEAVES = ("telemetry", "outcome", "status")


class Topics:
    """A connection that keeps what is subscribed to."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.longest = 0

    async def subscribe_to(self, *topics: str) -> None:
        """Subscribe."""
        self.longest = max(self.longest, len(topics))
        self.held |= set(topics)

    async def unsubscribe_from(self, *topics: str) -> None:
        """Unsubscribe."""
        self.held -= set(topics)

    @property
    def sites(self) -> set[str]:
        """Return the sites whose telemetry is held."""
        return {name.split("/")[3] for name in self.held if name.endswith("telemetry")}


@asynccontextmanager
async def subscribed(subscriptions: SiteSubscriptions) -> AsyncIterator[Topics]:
    """Keep subscriptions on one connection."""
    topics = Topics()
    await subscriptions.begin(topics)  # type: ignore[arg-type]  # all that is asked of a connection
    task = asyncio.create_task(subscriptions.run(topics))  # type: ignore[arg-type]
    yield topics
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def directory(count: int) -> SiteDirectory:
    made = SiteDirectory()
    made.assign(city(count, Adapter.MQTT))
    return made


async def test_without_a_share_every_site_comes_under_one_subscription() -> None:
    subscriptions = SiteSubscriptions(directory(3))
    async with subscribed(subscriptions) as topics:
        assert topics.held == {f"vpp/v1/sites/+/{leaf}" for leaf in LEAVES}
        assert subscriptions.includes("vpp/v1/sites/anybody/status")


async def test_a_share_replaces_it_and_follows_what_is_gained_and_lost() -> None:
    subscriptions = SiteSubscriptions(directory(120))
    async with subscribed(subscriptions) as topics:
        assert subscriptions.own(lambda site: site != "cp0") == []
        subscriptions.renew()
        await until(lambda: len(topics.sites) == 119)
        assert "+" not in topics.sites
        assert topics.longest == 50 * len(LEAVES), "as many as go into one packet"
        assert not subscriptions.includes("vpp/v1/sites/cp0/telemetry")
        assert set(subscriptions.own(lambda site: site in {"cp0", "cp1"})) == topics.sites - {"cp1"}
        subscriptions.renew()
        await until(lambda: topics.sites == {"cp0", "cp1"})


async def test_a_new_connection_begins_with_nothing() -> None:
    subscriptions = SiteSubscriptions(directory(2))
    subscriptions.own(lambda site: site == "cp1")
    for _ in range(2):
        async with subscribed(subscriptions) as topics:
            await until(lambda topics=topics: topics.sites == {"cp1"})
