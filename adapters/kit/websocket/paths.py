"""Device ids in request targets, by patterns such as ``/PATH/{id}``."""

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from vpp.domain.errors import ConfigurationError, FrameError

ID = "{id}"
DEFAULT = ("/{id}",)
"""The path is the device's id."""


class Paths:
    """Patterns of paths, in order of precedence.

    Args:
        patterns: Each begins with a slash and holds ``{id}`` once, e.g. ``/steve/websocket/CentralSystemService/{id}``.

    Raises:
        ConfigurationError: One has another shape.
    """

    def __init__(self, patterns: Sequence[str] = DEFAULT) -> None:
        for pattern in patterns:
            if not pattern.startswith("/") or pattern.count(ID) != 1 or not pattern.isascii():
                raise ConfigurationError(f"{pattern!r} is no path: give /PATH/{ID}, with {ID} once")
        if not patterns:
            raise ConfigurationError(f"give at least one path, e.g. /PATH/{ID}")
        self._ends = [tuple(pattern.split(ID)) for pattern in patterns]

    def devices(self, target: str) -> list[str]:
        """Return the ids that a target may mean, at least one for each pattern it matches.

        The target may be absolute (RFC 9112, 3.2.2); a query is ignored, and so is a slash at the end.

        Raises:
            FrameError: It is no path, or its escapes are not UTF-8.
        """
        path = _path(target)
        names = []
        for before, after in self._ends:
            if path.startswith(before) and path.endswith(after) and len(path) > len(before) + len(after):
                name = _unquoted(path[len(before) : len(path) - len(after)])
                names.append(name)
                if name.endswith("/") and len(name) > 1:
                    names.append(name[:-1])
        return names


def _path(target: str) -> str:
    if target.startswith("/"):
        return target.partition("?")[0].partition("#")[0]
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise FrameError(f"no request target: {target[:80]!r}") from error
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.netloc:
        raise FrameError(f"no request target: {target[:80]!r}")
    return parts.path


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise FrameError(f"no UTF-8 in a path: {text[:80]!r}") from error
