"""Master data of the fleet between processes: pages of each kind of member, fetched until none is missing."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from vpp.bus.messages.codec import SCHEMAS, TEXT, Frame, Kind, decode, encode
from vpp.bus.transport.subjects import fleet as fleet_subject
from vpp.domain.errors import ConfigurationError, FrameError
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import FleetIndex
from vpp.ports import Bus

PAGE = 3000
"""Members of a page: within ``MAX_MESSAGE_BYTES`` for names of up to about 40 characters."""
_PATIENCE_WALL_S = 5.0
_DIGEST_BYTES = 16
_IN_FORCE = {"default_kw": "safe_kw"}
"""Properties that travel in the place of a field: a gateway needs to know no shares."""
Member = TypeVar("Member", Area, Operator, Transformer, Site, Resource)


@dataclass(frozen=True, slots=True)
class _Part:
    kind: Kind
    name: str
    build: Callable[..., Any]


def _transformer(**values: Any) -> Transformer:  # noqa: ANN401 - columns of a frame
    return Transformer(**{**values, "parent_id": values["parent_id"] or None})


def _resource(**values: Any) -> Resource:  # noqa: ANN401 - columns of a frame
    words = {"resource_class": ResourceClass(values["resource_class"]), "adapter": Adapter(values["adapter"])}
    return Resource(**{**values, **words})


_PARTS = (
    _Part(Kind.AREAS, "areas", Area),
    _Part(Kind.OPERATORS, "operators", Operator),
    _Part(Kind.TRANSFORMERS, "transformers", _transformer),
    _Part(Kind.SITES, "sites", Site),
    _Part(Kind.RESOURCES, "resources", _resource),
)
_PART_OF = {part.name: part for part in _PARTS}


def digest(index: FleetIndex) -> str:
    """Return the fingerprint by which two processes know that the same rows mean the same devices to them.

    A version stands for everything that was changed of a resource under it.
    """
    sha = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for resource in index.resources:
        sha.update(
            f"{resource.id}\n{resource.adapter}\n{resource.address}\n{resource.version}\n{resource.retired}\n".encode()
        )
    return sha.hexdigest()


def ask(name: str, position: int) -> bytes:
    """Return the request for the members called ``name`` from ``position`` on."""
    return encode(Kind.ASK, {"what": [name]}, number=position)


def asked(content: bytes) -> tuple[str, int]:
    """Return what ``ask`` was given; raises FrameError."""
    frame = decode(content, Kind.ASK)
    if frame.count != 1:
        raise FrameError(f"one question expected, got {frame.count}")
    return frame.texts("what")[0], frame.number


def page(index: FleetIndex, name: str, position: int) -> bytes:
    """Return the members called ``name`` from ``position`` on, as many as go into a page.

    Raises:
        FrameError: There are no members of that name.
    """
    part = _PART_OF.get(name)
    if part is None:
        raise FrameError(f"a fleet has {sorted(_PART_OF)}, not {name!r}")
    members = getattr(index, name)
    chosen = members[position : position + PAGE]
    columns = {
        field: [_plain(getattr(member, _IN_FORCE.get(field, field)), code) for member in chosen]
        for field, code in SCHEMAS[part.kind]
    }
    return encode(part.kind, columns, number=len(members))


def members_of(frame: Frame) -> list[Any]:
    """Return the members on a page; raises FrameError or InputError for a member that is not accepted."""
    part = next(part for part in _PARTS if part.kind is frame.kind)
    names = [name for name, _ in SCHEMAS[part.kind]]
    columns = [frame.texts(n) if code == TEXT else frame.array(n).tolist() for n, code in SCHEMAS[part.kind]]
    try:
        return [part.build(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]
    except ValueError as error:
        raise FrameError(f"a page of {part.name} holds an unknown value: {error}") from error


async def fetched(bus: Bus, epoch: int, known: FleetIndex, *, expected: str) -> FleetIndex:
    """Return ``known`` with what the leader of ``epoch`` has beyond it, and with what it has changed.

    Args:
        bus: Where the leader is.
        epoch: The leader's.
        known: What was fetched before, or an empty fleet.
        expected: The digest the leader has announced.

    Raises:
        BusError: The leader does not answer.
        FrameError: It has changed again meanwhile; its next beacon will say so.
        ConfigurationError: Its rows are not ours: another fleet.
    """
    index = await _beyond(bus, epoch, known)
    if digest(index) != expected and len(known):
        index = await _whole(bus, epoch, known)
        ids = [resource.id for resource in index.resources[: len(known)]]
        if ids != [resource.id for resource in known.resources]:
            raise ConfigurationError("the leader on the bus has another fleet in the same rows; restart this gateway")
    if digest(index) != expected:
        raise FrameError("the fleet on the bus changed while it was fetched")
    return index


async def _beyond(bus: Bus, epoch: int, known: FleetIndex) -> FleetIndex:
    """Return ``known`` with the members that the leader has beyond it."""
    added: dict[str, list[Any]] = {}
    # Resources first: whatever they refer to was there before them, so that a fleet that grows meanwhile is whole.
    for part in reversed(_PARTS):
        added[part.name] = await _members(bus, epoch, part, len(getattr(known, part.name)))
    return known.extended(**added)


async def _whole(bus: Bus, epoch: int, known: FleetIndex) -> FleetIndex:
    """Return the leader's fleet; what has not changed since ``known`` is not held twice."""
    found: dict[str, Any] = {}
    for part in reversed(_PARTS):
        found[part.name] = tuple(await _members(bus, epoch, part, 0, known=getattr(known, part.name)))
    return FleetIndex(**found)


async def _members(bus: Bus, epoch: int, part: _Part, position: int, *, known: Sequence[Any] = ()) -> list[Any]:
    """Return the leader's members of a kind from ``position`` on, page by page.

    Those that stand alike in ``known`` are taken from there; page by page too, for a city takes seconds to compare.
    """
    members: list[Any] = []
    total = -1
    while position != total:
        content = await bus.request(fleet_subject(epoch), ask(part.name, position), patience_wall_s=_PATIENCE_WALL_S)
        frame = decode(content, part.kind)
        for place, member in enumerate(members_of(frame), position):
            same = place < len(known) and repr(known[place]) == repr(member)
            members.append(known[place] if same else member)
        position, total = position + frame.count, frame.number
        if (position < total and not frame.count) or position > total:
            raise FrameError(f"{position} {part.name} fetched where there are {total}")
    return members


def _plain(value: object, code: str) -> object:
    if code == TEXT:
        return "" if value is None else str(value)
    return value


def _check_schemas() -> None:
    """Fail at import where a dataclass has grown a field that would not travel.

    Limits stay with the leader, who alone decides; a gateway passes its setpoints on. Of validity it needs to know
    only which devices it serves, and of shares the defaults within them.
    """
    stays = {"limits", "valid_from_s"}
    for kind, cls, kept in (
        (Kind.TRANSFORMERS, Transformer, stays | {"valid_to_s", "version"}),
        (Kind.SITES, Site, stays | {"valid_to_s", "version"}),
        (Kind.RESOURCES, Resource, stays | {"share_kw"}),
    ):
        if {f.name for f in fields(cls)} - kept != {name for name, _ in SCHEMAS[kind]}:
            raise AssertionError(f"{cls.__name__} and its columns on the bus differ")


_check_schemas()
