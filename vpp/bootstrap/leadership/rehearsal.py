"""Rehearsal of a takeover: what a service does for the first time is done while another process leads."""

from functools import partial

import structlog

from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.dispatch.warmup import warm_up
from vpp.ports import Clock
from vpp.runtime.supervisor import fault_in

_log = structlog.get_logger(__name__)


def rehearse(settings: Settings, clock: Clock) -> None:
    """Compose a service over the present fleet and let it go; writes nothing, blocks for seconds.

    Its kernels and modules are loaded then, which takes longer than everything else of a takeover. A database whose
    schema is older is left alone: it is migrated by whoever leads next.
    """
    warm_up()
    fault = fault_in(partial(_compose, settings, clock))
    if fault is not None:
        _log.warning("no service composed in the rehearsal of a takeover", why=str(fault) or repr(fault))


def _compose(settings: Settings, clock: Clock) -> None:
    store = Store.open(settings.database_url, archive=settings.archive_place, migrate=False)
    try:
        Service(settings, store, clock, ())
    finally:
        store.close()
