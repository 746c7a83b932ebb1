"""Subscriptions of one process: to every site at once, or to its own sites one by one."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from adapters.mqtt.connection import Connection
from adapters.mqtt.site_directory import SiteDirectory
from adapters.mqtt.topics import Leaf, site_of, topic

_LEAVES = (Leaf.TELEMETRY, Leaf.OUTCOME, Leaf.STATUS)
_SITES_AT_ONCE = 50
"""Sites whose topics go into one packet."""


class SiteSubscriptions:
    """Subscriptions to the sites this process serves.

    Args:
        directory: The sites there are.
    """

    def __init__(self, directory: SiteDirectory) -> None:
        self._directory = directory
        self._owns: Callable[[str], bool] | None = None
        self._subscribed: set[str] = set()
        self._changed = asyncio.Event()

    def includes(self, topic_name: str) -> bool:
        """Tell whether messages of a topic are this process's; those of a site just left may still come."""
        return self._owns is None or self._owns(site_of(topic_name))

    def own(self, owns: Callable[[str], bool]) -> Sequence[str]:
        """Serve only the sites for which ``owns`` is true; return those that were served and are left now."""
        self._owns = owns
        return [site for site in self._subscribed if not owns(site)]

    def renew(self) -> None:
        """Have the subscriptions follow sites or owners that have changed."""
        self._changed.set()

    async def begin(self, connection: Connection) -> None:
        """Subscribe to every site on a new connection, unless this process has a share; raises MqttError."""
        if self._owns is None:
            await connection.subscribe_to(*_everything())
        self._subscribed.clear()
        self._changed.set()

    async def run(self, connection: Connection) -> None:
        """Subscribe to sites that have become ours, and unsubscribe from those that are ours no more, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._owns is None:
                continue
            if not self._subscribed:
                await connection.unsubscribe_from(*_everything())
            ours = {site for site in self._directory.sites() if self._owns(site)}
            for sites in _chunks(sorted(self._subscribed - ours)):
                await connection.unsubscribe_from(*_topics(sites))
                self._subscribed.difference_update(sites)
            for sites in _chunks(sorted(ours - self._subscribed)):
                self._subscribed.update(sites)
                await connection.subscribe_to(*_topics(sites))


def _everything() -> Iterator[str]:
    return _topics(["+"])


def _topics(sites: Sequence[str]) -> Iterator[str]:
    return (topic(site, leaf) for site in sites for leaf in _LEAVES)


def _chunks(sites: Sequence[str]) -> Iterator[Sequence[str]]:
    return (sites[first : first + _SITES_AT_ONCE] for first in range(0, len(sites), _SITES_AT_ONCE))
