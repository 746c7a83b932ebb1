"""Process of ``vpp serve``: one that leads, or stands by until it may."""

import asyncio
import contextlib
from functools import partial

import structlog

from optimizer.heap import keep_freed_memory
from vpp.bootstrap.clocks import running_clock
from vpp.bootstrap.leadership.candidacy import Candidacy
from vpp.bootstrap.leadership.following import Following
from vpp.bootstrap.leadership.http_address import HttpAddress
from vpp.bootstrap.leadership.rehearsal import rehearse
from vpp.bootstrap.leadership.standby import Standby
from vpp.bootstrap.leadership.term import Term
from vpp.bootstrap.runner import run
from vpp.config import Settings
from vpp.domain.errors import DeposedError
from vpp.ports import Clock
from vpp.runtime.clock import MachineTime
from vpp.runtime.observability import configure_logging
from vpp.storage.sql import belongs_to_one_process

_log = structlog.get_logger(__name__)


def run_service(settings: Settings) -> None:
    """Run the service until Ctrl-C or SIGTERM."""
    configure_logging(json=settings.log_json, level=settings.log_level)
    keep_freed_memory()
    run(_serve(settings))


async def _serve(settings: Settings) -> None:
    with HttpAddress(settings.http) as address:
        if belongs_to_one_process(settings.database_url):
            address.take()
            async with running_clock(settings) as clock:
                await Term(settings, clock, address).run()
            return
        candidacy = Candidacy(settings, address, MachineTime())
        with contextlib.closing(candidacy):
            await asyncio.to_thread(candidacy.begin)
            async with running_clock(settings) as clock:
                while await _stand_by_and_lead(settings, clock, address, candidacy):
                    pass


async def _stand_by_and_lead(settings: Settings, clock: Clock, address: HttpAddress, candidacy: Candidacy) -> bool:
    """Wait for the lease and lead; return whether another process has deposed this one."""
    following = Following(settings, MachineTime())
    standby = Standby(settings, candidacy, address, following=following, rehearse=partial(rehearse, settings, clock))
    async with contextlib.AsyncExitStack() as closing:
        closing.push_async_callback(standby.close)
        lease = await standby.wait()
        # The standby answers until the service does.
        term = Term(settings, clock, address, lease=lease, followed=following.hand_over, begun=standby.leave)
        try:
            await term.run()
        except DeposedError as error:
            _log.error("deposed; this process stands by", why=str(error))
            return True
    return False
