"""Charging profiles of a simulated station, accepted and put in force as its devices respond."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from adapters.ocpp.messages.rpc import Endpoint
from adapters.ocpp.simulated.connector import Connector
from adapters.ocpp.simulated.profile_stack import InstalledProfile, Purpose
from vpp.ports import Clock, DeviceWorld


class ProfileEnvironment(Protocol):
    """World and clock that the profiles of all stations of a process share."""

    world: DeviceWorld
    clock: Clock

    def profile_accepted(self, profile_id: int) -> None:
        """Count a charging profile that a station accepted."""
        ...


class StationProfiles:
    """Profiles of all connectors of one station.

    Args:
        connectors: The station's connectors by number.
        environment: World and clock.
        connection: Returns the present connection, ``None`` where there is none.
    """

    def __init__(
        self,
        connectors: Mapping[int, Connector],
        environment: ProfileEnvironment,
        connection: Callable[[], Endpoint | None],
    ) -> None:
        self._connectors = connectors
        self._environment = environment
        self._connection = connection

    def install(self, message_id: str, number: int, profile: InstalledProfile | None) -> None:
        """Answer SetChargingProfile.

        Args:
            message_id: Of the call that is answered.
            number: Connector it is for, 0 for all.
            profile: ``None`` if this station cannot install it.
        """
        connectors = self._chosen(number)
        if not connectors:
            self._answer_later(0.0, message_id, lambda: "Rejected")
            return
        response = self._environment.world.response(connectors[0].row)

        def decide() -> str:
            if response.refused or profile is None or not all(one.fits(profile) for one in connectors):
                return "Rejected"
            self._environment.profile_accepted(profile.id)
            if not response.ignored:
                for connector in connectors:
                    connector.stack.install(profile)
                    self.apply(connector)
            return "Accepted"

        self._answer_later(response.latency_s, message_id, decide)

    def clear(
        self,
        message_id: str,
        number: int,
        *,
        profile_id: int | None,
        purpose: Purpose | None,
        stack_level: int | None,
    ) -> None:
        """Answer ClearChargingProfile: it cannot be refused, only match no profile."""
        connectors = self._chosen(number)
        latency_s = self._environment.world.response(connectors[0].row).latency_s if connectors else 0.0

        def decide() -> str:
            cleared = 0
            for connector in connectors:
                cleared += connector.stack.clear(profile_id=profile_id, purpose=purpose, stack_level=stack_level)
                self.apply(connector)
            return "Accepted" if cleared else "Unknown"

        self._answer_later(latency_s, message_id, decide)

    def update(self, profile_id: int, power_kw: float) -> bool:
        """Give a dynamic profile another value; return whether it is installed anywhere."""
        found = False
        for connector in self._connectors.values():
            if connector.stack.update(profile_id, power_kw):
                found = True
                self.apply(connector)
        return found

    def lapse(self, offline_s: float) -> None:
        """Remove the profiles that do not hold for ``offline_s`` seconds without a connection."""
        for connector in self._connectors.values():
            if connector.stack.lapse(offline_s):
                self.apply(connector)

    def end_transaction(self, connector: Connector) -> None:
        """Remove the profiles of a transaction with it."""
        connector.stack.clear(purpose=Purpose.TX)
        self.apply(connector)

    def apply(self, connector: Connector) -> None:
        """Put into force what the profiles of a connector add up to now."""
        connector.apply_profiles(self._environment.world, self._environment.clock.now_s())

    def _chosen(self, number: int) -> list[Connector]:
        if number == 0:
            return list(self._connectors.values())
        return [self._connectors[number]] if number in self._connectors else []

    def _answer_later(self, latency_s: float, message_id: str, decide: Callable[[], str]) -> None:
        """Decide and answer in ``latency_s``, if the connection is still the same."""
        connection = self._connection()

        def answer() -> None:
            if connection is not None and self._connection() is connection:
                connection.reply(message_id, {"status": decide()})

        asyncio.get_running_loop().call_later(self._environment.clock.wall(latency_s), answer)
