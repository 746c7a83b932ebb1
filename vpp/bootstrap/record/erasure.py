"""Erasure of a driver's and of an operator's data: names, in whatever entries they stand, and samples of devices."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from vpp.bootstrap.record.erasure_scope import operator_spans, station_spans
from vpp.bootstrap.record.erasure_work import erasing
from vpp.config import Settings
from vpp.domain.errors import InputError, UnknownIdError
from vpp.record.erasure.erased_samples import ErasedSamples
from vpp.record.erasure.redaction import ErasedNames
from vpp.record.names.subject import SubjectKind
from vpp.storage.sql import storing
from vpp.storage.subjects import tokens_of
from vpp.storage.unnaming import named_by, unname

_CHAIN = (
    "journal, checkpoints and archive with their hashes, where a token stands that nothing links to a name: times and"
    " energy of charging sessions by row number"
)
_MONEY = (
    "quarters of an hour in which a request was measured, by row number: settlements rest on them, until"
    " VPP_INTERVAL_DAYS deletes them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What an erasure takes away, and what it leaves.

    Attributes:
        goes: Number of each thing that is gone for ever.
        stays: What stays, and why.
        dry_run: Nothing was changed.
    """

    goes: dict[str, int]
    stays: tuple[str, ...]
    dry_run: bool

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        return {"goes": self.goes, "stays": list(self.stays), "dry_run": self.dry_run}

    def text(self) -> str:
        """Return it as people read it."""
        verb = "would go" if self.dry_run else "gone"
        lines = [f"{verb}: {count} {what}" for what, count in self.goes.items()]
        return "\n".join([*lines, *(f"stays: {what}" for what in self.stays)]) + "\n"


def run_erase(erased: Erasure, *, as_json: bool) -> int:
    """Print what goes and what stays."""
    sys.stdout.write(json.dumps(erased.body()) + "\n" if as_json else erased.text())
    return 0


def erase_driver(settings: Settings, ids: Sequence[str], *, dry_run: bool = False) -> Erasure:
    """Erase charging sessions by their ids, or all of a station by the station's, which is a driver's own then.

    Their names go, and the samples of their charging points: from a minute before a session until a minute after it,
    or whatever there is of a station's.

    Raises:
        InputError: An id is empty; nothing was changed.
        ConfigurationError: A service leads on the database, or its record does not verify.
        UnknownIdError: No session is named so, and no station; or the names are gone already, now from the files as
            well.
    """
    if not all(ids):  # e.g. of a variable that a script did not set
        raise InputError("ids", list(ids), "ids of charging sessions or stations, none of them empty")
    names = ErasedNames(lambda kind, text: kind is SubjectKind.SESSION and _is_of(text, ids))
    with erasing(settings, names, dry_run=dry_run) as work:
        tokens = tokens_of(work.engine, SubjectKind.SESSION, ids, whole=False)
        theirs = frozenset(tokens)
        clear = work.find_names()
        sessions = work.session_spans(lambda name: name in theirs or _is_of(name, ids))
        samples = ErasedSamples.of([*station_spans(work.engine, work.chain, ids, work.end_s), *sessions])
        if not dry_run:
            work.carry_out(tokens, samples, clear=clear)  # also after an erasure that has come no further
        if not tokens and not clear and not samples.windows:
            raise UnknownIdError("session", ", ".join(ids))
        return Erasure(
            goes={
                "names of charging sessions": len(tokens),
                "entries of an earlier version with such names": clear,
                "devices whose samples were recorded": len(samples.rows),
            },
            stays=(_CHAIN, _MONEY, "ids and addresses of charging stations in the registry, until they are retired"),
            dry_run=dry_run,
        )


def erase_operator(settings: Settings, operator_id: str, *, dry_run: bool = False) -> Erasure:
    """Erase the name of an operator, those of its sites, its name as an actor, and the samples of its devices.

    Raises:
        ConfigurationError: A service leads on the database, or its record does not verify.
        UnknownIdError: There is no such operator.
    """
    known: set[str] = set()
    acting = {operator_id}
    names = ErasedNames(
        lambda kind, text: (
            (kind is SubjectKind.NAME and text in known) or (kind is SubjectKind.ACTOR and text in known | acting)
        )
    )
    with erasing(settings, names, dry_run=dry_run) as work:
        with storing("the erasure"), work.engine.connect() as connection:
            members = [one for one in named_by(connection, operator_id) if one.name]
        known |= {one.name for one in members}
        tokens = tokens_of(work.engine, SubjectKind.NAME, sorted(known))
        actors = tokens_of(work.engine, SubjectKind.ACTOR, sorted(known | acting))
        clear = work.find_names()
        samples = ErasedSamples.of(operator_spans(work.engine, operator_id, work.end_s))
        if not dry_run:
            work.carry_out(
                [*tokens, *actors],
                samples,
                clear=clear,
                # Together: the registry's names lead to the tokens, and are wanted again if this fails.
                also=lambda connection: unname(connection, members, sorted(known | acting)),
            )
        ids = f"the id {operator_id!r} and those of its sites and devices, so that none is given again"
        money = "energy and money settled under these ids, as numbers without a name"
        return Erasure(
            goes={
                "names in the registry": len(members),
                "names in the journal": len(tokens),
                "names of actors": len(actors),
                "entries of an earlier version with such names": clear,
                "devices whose samples were recorded": len(samples.rows),
            },
            stays=(_CHAIN, _MONEY, ids, money),
            dry_run=dry_run,
        )


def _is_of(name: str, ids: Sequence[str]) -> bool:
    return any(name == one or name.startswith(f"{one}:") for one in ids)
