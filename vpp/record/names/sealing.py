"""Sealing of entries: names replaced by tokens, so that bytes, chain and decisions stay when a name is erased."""

from collections.abc import Callable, Mapping
from typing import Any

from vpp.record.names.subject import SubjectKind, is_token

PERSONAL: Mapping[str, Mapping[str, SubjectKind]] = {
    "cycle": {"session_id": SubjectKind.SESSION},
    "fleet.changed": {"actor": SubjectKind.ACTOR, "name": SubjectKind.NAME},
    "request.revision": {"actor": SubjectKind.ACTOR},
    "request.transition": {"actor": SubjectKind.ACTOR},
    "standing.changed": {"actor": SubjectKind.ACTOR},
}
"""Fields of a kind of entry that name somebody, wherever in the body they stand; no other kind has one."""
_OURS = frozenset({"", "service"})
"""Names that stand for the service itself."""


def sealed(kind: str, body: Mapping[str, object], token_of: Callable[[SubjectKind, str], str]) -> Mapping[str, object]:
    """Return the body of an entry with tokens for the names in it; a body without any is returned as it is."""
    fields = PERSONAL.get(kind)
    return body if fields is None else replaced(body, fields, token_of)


def replaced(value: Any, fields: Mapping[str, SubjectKind], token_of: Callable[[SubjectKind, str], str]) -> Any:  # noqa: ANN401 - JSON-like
    """Return a tree with what ``token_of`` returns for the texts under the names of ``fields``, wherever they stand."""
    match value:
        case dict():
            return {
                key: token_of(fields[key], one)
                if key in fields and isinstance(one, str) and one not in _OURS
                else replaced(one, fields, token_of)
                for key, one in value.items()
            }
        case list() | tuple():
            return [replaced(one, fields, token_of) for one in value]
    return value


def tokens_in(tree: object) -> set[str]:
    """Return all tokens in a tree of dicts, lists and values."""
    found: set[str] = set()
    _collect(tree, found)
    return found


def opened(tree: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever a state tree holds
    """Return a tree with names for the tokens that are known; the others stay, for ever."""
    match tree:
        case str():
            return names.get(tree, tree)
        case dict():
            return {key: opened(value, names) for key, value in tree.items()}
        case list():
            return [opened(value, names) for value in tree]
        case tuple():
            return tuple(opened(value, names) for value in tree)
    return tree


def _collect(tree: object, found: set[str]) -> None:
    match tree:
        case str():
            if is_token(tree):
                found.add(tree)
        case dict():
            for value in tree.values():
                _collect(value, found)
        case list() | tuple():
            for value in tree:
                _collect(value, found)
