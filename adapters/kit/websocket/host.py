"""Base of a protocol's ``acceptor.Host``: what every protocol answers alike."""

from collections.abc import Sequence

from adapters.kit.batching import Batcher
from adapters.kit.poller import Poller
from adapters.kit.refused_devices import RefusedDevices
from vpp.ports import Clock


class DeviceHost:
    """An ``acceptor.Host`` without ``knows`` and ``connected``, which a protocol adds.

    Attributes:
        realm: Name of the protocol: in the registry, in metrics, and for whoever is asked for a password.
    """

    realm: str

    def __init__(self, batcher: Batcher, clock: Clock, poller: Poller) -> None:
        self._batcher = batcher
        self._refused = RefusedDevices(self.realm, batcher, clock, poller)

    def has_retired(self, device: str) -> bool:  # noqa: ARG002 - none is known to have been
        """See ``acceptor.Host``: no device was."""
        return False

    def has_priority(self, device: str) -> bool:  # noqa: ARG002 - none has
        """See ``acceptor.Host``: no device has."""
        return False

    def choose_subprotocol(self, offered: Sequence[str]) -> str | None:
        """See ``acceptor.Host``: the one named as the protocol, also for a device that offers none."""
        return self.realm if self.realm in offered or not offered else None

    def turned_away(self, reason: str) -> None:
        """See ``acceptor.Host``."""
        self._batcher.rejected(reason)

    def connection_refused(self, device: str, peer: str, reason: str) -> None:
        """See ``acceptor.Host``."""
        self._refused.add(device, peer, reason)
