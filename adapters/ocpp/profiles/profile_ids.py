"""Ids of charging profiles (32 bits), made of a profile's place at its station and of its command's id (64 bits).

A station holds one profile in a place: a purpose and stack level at a connector (1.6 3.13, 2.0.1 K01). Every place has
a range of ids of its own, so no two profiles that a station holds at a time can have one id, whatever it has kept from
before a restart, a change of process or a lost answer: nothing has to be remembered, and nothing asked for. Within its
range an id follows the command's, so that a profile can be traced to its command and a new command is a new profile.

A profile that is no command's has a command id of 0 or below: ``OWN_DEFAULT``, ``RESTATED``, ``WAKING``.
"""

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.nameplates import LAST_CONNECTOR

OWN_DEFAULT = 0
"""The default profile that the link itself installs; see ``reserved_profile_id``."""
RESTATED = -1
"""A value that is restored at a station which may have lost it."""
WAKING = -2
"""A step of waking a car."""
_LAST = 2**31 - 1
PROBE_PROFILE_ID = _LAST - LAST_CONNECTOR - 1
"""The one profile of a control test; from here up are ids without a place."""
_RANGE = 2**22
COMMANDS_A_PLACE = _RANGE - 16
"""Commands after which the ids of a place come again: for profiles of that place, which replace one another anyway."""
_CONNECTORS = 126
"""Connectors with places of their own; one above shares those of the connector 126 below, under other commands.

Of such a pair one profile only may be ``RESTATED`` or ``WAKING`` at a time.
"""
_PLACES = {
    (ProfilePurpose.TX, 0): 0,
    (ProfilePurpose.TX_DEFAULT, 0): 1,
    (ProfilePurpose.TX_DEFAULT, 1): 2,
    (ProfilePurpose.STATION_MAX, 0): 3,
}
"""Places of a connector, by purpose and stack level; those of all connectors lie below ``PROBE_PROFILE_ID``."""


def profile_id(connector: int, purpose: ProfilePurpose, stack_level: int, command_id: int) -> int:
    """Return the id of the profile that carries a command, above 0 and below 2³¹.

    Args:
        connector: Connector (1.6) or EVSE (2.x) it is for, from 1 to ``LAST_CONNECTOR``.
        purpose: Its purpose.
        stack_level: Its stack level.
        command_id: Id of the command, or what it is instead.
    """
    if command_id == OWN_DEFAULT:
        return reserved_profile_id(connector)
    place = len(_PLACES) * ((connector - 1) % _CONNECTORS + 1) + _PLACES[purpose, stack_level]
    return place * _RANGE + ((command_id - 1) % COMMANDS_A_PLACE + 1 if command_id > 0 else command_id % _RANGE)


def reserved_profile_id(connector: int) -> int:
    """Return the id of the default profile that the link itself installs; no command's id comes near it."""
    return _LAST - connector


def command_number(identity: int) -> int:
    """Return from a profile's id what ``profile_id`` makes the same of again: 0 or below where it is no command's.

    It is the command's id up to ``COMMANDS_A_PLACE``, and beyond that the rest by it.
    """
    if identity >= PROBE_PROFILE_ID:
        return OWN_DEFAULT
    number = identity % _RANGE
    return number if number <= COMMANDS_A_PLACE else number - _RANGE
