"""Notes in the database of what was exported: a cut of the file of heads shows against them."""

import sqlalchemy as sa

from vpp.record.entry import Head
from vpp.storage.sql import WRITES, facts, storing

_HEAD, _KEY = "record_head", "record_key"


def noted_head(engine: sa.Engine) -> Head | None:
    """Return the head that was exported last, ``None`` where none was."""
    text = _noted(engine, _HEAD)
    if text is None:
        return None
    sequence, _, sha256 = text.partition(" ")
    return Head(int(sequence), sha256) if sequence.isdigit() else None


def noted_key(engine: sa.Engine) -> str | None:
    """Return the public key that signed it, 64 hexadecimal digits."""
    return _noted(engine, _KEY)


def note(engine: sa.Engine, head: Head, key: str) -> None:
    """Note an exported head and the public key that signed it, in one transaction.

    Raises:
        StorageError: The database takes nothing now.
    """
    with storing("the head's note"), engine.execution_options(**{WRITES: True}).begin() as connection:
        for name, value in ((_HEAD, f"{head.sequence} {head.sha256}"), (_KEY, key)):
            changed = connection.execute(sa.update(facts).where(facts.c.name == name).values(value=value))
            if not changed.rowcount:
                connection.execute(sa.insert(facts).values(name=name, value=value))


def _noted(engine: sa.Engine, name: str) -> str | None:
    with storing("the notes"), engine.connect() as connection:
        value: str | None = connection.execute(sa.select(facts.c.value).where(facts.c.name == name)).scalar()
    return value
