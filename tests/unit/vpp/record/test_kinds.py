"""The table of kinds, against the code that appends entries and against journals of before."""

import ast
import gzip
import importlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import FIXTURES, ROOT
from vpp.domain.errors import AuditError
from vpp.record.entry import JournalEntry
from vpp.record.kinds import KINDS, is_known

APPENDING = {"append": 3, "_record": 3, "record": 3}
"""Names of methods that write an entry, and the number of their arguments."""


def appended() -> Iterator[tuple[str, str]]:
    """Iterate module and kind of every call that writes an entry."""
    for path in sorted((ROOT / "vpp").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if APPENDING.get(node.func.attr) != len(node.args):
                continue
            kind = node.args[0]
            if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
                yield module, kind.value
            elif isinstance(kind, ast.Name) and kind.id.isupper():
                yield module, getattr(importlib.import_module(module), kind.id)


def test_every_kind_that_the_code_appends_is_in_the_table() -> None:
    found = dict.fromkeys(appended())
    assert len(found) > 15
    assert [(module, kind) for module, kind in found if kind not in KINDS] == []


def test_every_kind_of_the_table_is_named_by_its_owner() -> None:
    for name, kind in KINDS.items():
        owner = importlib.import_module(kind.owner)
        assert name in vars(owner).values(), f"{kind.owner} has no name for {name}"


@pytest.mark.parametrize("path", sorted((FIXTURES / "journal-2f8590a").glob("*.gz")), ids=lambda path: path.stem)
def test_every_kind_of_an_old_journal_is_in_the_table(path: Path, tmp_path: Path) -> None:
    (tmp_path / "old.sqlite3").write_bytes(gzip.decompress(path.read_bytes()))
    with sqlite3.connect(tmp_path / "old.sqlite3") as database:
        kinds = {kind for (kind,) in database.execute("SELECT DISTINCT kind FROM journal")}
    assert kinds <= KINDS.keys()


def entry(kind: str, **body: object) -> JournalEntry:
    return JournalEntry(sequence=7, kind=kind, at_s=1.0, body=body, sha256="")


def test_what_a_newer_service_wrote_is_refused_with_what_to_do() -> None:
    assert is_known(entry("cycle"))
    assert is_known(entry("cycle", v=1))
    with pytest.raises(AuditError, match=r"entry 7 is of kind 'fleet\.sold'.*a newer one wrote it; start that version"):
        is_known(entry("fleet.sold"))
    with pytest.raises(AuditError, match="entry 7 is of version 2 of kind 'cycle'"):
        is_known(entry("cycle", v=2))


def test_what_says_that_nothing_is_lost_without_it_is_passed_over() -> None:
    assert not is_known(entry("fleet.painted", passable=True))
    assert not is_known(entry("cycle", v=2, passable=True))
