"""Places: which fleet's database was last vouched for at a place, kept beside the heads.

A new database has a new fleet id and thus no heads of its own; its place tells that another one was there.
"""

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from sqlalchemy.engine import make_url


@dataclass(frozen=True, slots=True, kw_only=True)
class MainFile:
    """State of the main file of an SQLite database; its write-ahead log changes it only at a checkpoint.

    Attributes:
        size: Bytes.
        mtime_ns: Time of the last change, nanoseconds.
    """

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, url: str) -> "MainFile | None":
        """Return the state of the file behind a URL, ``None`` where there is none."""
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
            return None
        try:
            found = Path(str(parsed.database)).stat()
        except OSError:
            return None
        return cls(size=found.st_size, mtime_ns=found.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """What was last vouched for at a place.

    Attributes:
        fleet: Fleet whose database it was.
        sequence: Its head.
        main: Main file of the database then.
    """

    fleet: str
    sequence: int
    main: MainFile | None = None


class Places:
    """Files beside the heads, one a place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "places"

    def occupant(self, url: str) -> Occupant | None:
        """Return what was last vouched for at a database's place, ``None`` where nothing was.

        Raises:
            OSError: The file cannot be read.
        """
        place = place_of(url)
        if place is None:
            return None
        try:
            found = orjson.loads(self._file(place).read_bytes())
            main = found["main"]
            return Occupant(
                fleet=str(found["fleet"]),
                sequence=int(found["sequence"]),
                main=None if main is None else MainFile(**main),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def note(self, url: str, occupant: Occupant) -> None:
        """Note what was vouched for at a database's place.

        Raises:
            OSError: The file cannot be written.
        """
        place = place_of(url)
        if place is None:
            return
        file = self._file(place)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_bytes(orjson.dumps({"place": place, **asdict(occupant)}))
        draft.replace(file)

    def _file(self, place: str) -> Path:
        return self._folder / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"


def place_of(url: str) -> str | None:
    """Return a database's place: its URL without a password, its file resolved; ``None`` for one in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return parsed.set(password=None).render_as_string()
    if parsed.database in {None, "", ":memory:"}:
        return None
    return f"sqlite:///{Path(str(parsed.database)).expanduser().resolve()}"


def has_file(url: str) -> bool:
    """Return whether a database's file is there; true for databases that are no file."""
    parsed = make_url(url)
    return parsed.get_backend_name() != "sqlite" or place_of(url) is None or MainFile.of(url) is not None
