"""Names in a folded state: actors of requests, and charging sessions, each in its place."""

from collections.abc import Callable
from typing import Any

from vpp.record.names.sealing import PERSONAL, replaced
from vpp.record.names.subject import SubjectKind
from vpp.record.state_codec import StateTree

TokenOf = Callable[[SubjectKind, str], str]
"""Returns what stands for a name of a kind: the name itself where it stays."""
_SESSIONS = ("ids", "early_ids")


def state_without_names(state: StateTree, token_of: TokenOf) -> StateTree:
    """Return a state, as ``FoldedState.state`` made it, with tokens for the names that are erased."""
    dispatch: Any = state["dispatch"]
    charging: Any = state["charging"]
    requests = replaced(dispatch["requests"], PERSONAL["request.transition"], token_of)
    sessions = {
        name: [token_of(SubjectKind.SESSION, one) for one in value] if name in _SESSIONS else value
        for name, value in charging["sessions"].items()
    }
    return {
        **state,
        "dispatch": {**dispatch, "requests": requests},
        "charging": {**charging, "sessions": sessions},
    }
