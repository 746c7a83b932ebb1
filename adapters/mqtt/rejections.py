"""Messages that are dropped: counted by reason, the first of its kind from a site logged with its text."""

from enum import StrEnum

import structlog

from adapters.kit.batching import Batcher
from vpp.domain.errors import VppError

_log = structlog.get_logger(__name__)
_LOGGED_AT_MOST = 1000


class Rejection(StrEnum):
    """Reason for which a message or a part of one was dropped; a metric label, so the list is closed."""

    MALFORMED = "malformed"
    INVALID_FIELD = "invalid_field"
    UNKNOWN_TOPIC = "unknown_topic"
    UNKNOWN_SITE = "unknown_site"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_COMMAND = "unknown_command"
    IMPLAUSIBLE = "implausible"
    RETAINED = "retained"
    """A reading or an outcome that the broker kept: it may be of any age."""
    OLD = "old"
    FUTURE = "future"


class Rejections:
    """Counts what was dropped, in the batcher's metrics, and logs each kind once a site."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._logged: set[tuple[str, Rejection]] = set()

    def add(self, site: str, rejection: Rejection, why: VppError | str) -> None:
        """Count one; ``why`` names field, value and what is accepted."""
        self._batcher.rejected(rejection)
        if (site, rejection) not in self._logged and len(self._logged) < _LOGGED_AT_MOST:
            self._logged.add((site, rejection))
            _log.warning("message dropped, later ones of its kind are only counted", site=site, why=str(why))
