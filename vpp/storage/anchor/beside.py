"""Verification in a process of its own: a long record takes no time from the loops that control devices."""

import contextlib
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from typing import Final

from vpp.domain.errors import StorageError
from vpp.record.verification import Verification
from vpp.storage.anchor.chain_walk import Progress
from vpp.storage.anchor.start_verification import verify_start
from vpp.storage.anchor.verification import AnchorPlace
from vpp.storage.sql import open_database

LONG: Final = 50_000
"""Entries from which a process of its own is worth the second it takes to start."""
_LOOK_WALL_S: Final = 0.2
_NICE: Final = 5


def verify_beside(place: AnchorPlace, progress: Progress) -> Verification:
    """Verify a record, as a start does, in another process; blocks, and ends that process where ``progress`` raises.

    Raises:
        ConfigurationError: The key cannot be used.
        OSError: The heads cannot be read.
        StorageError: The process has ended without a result.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_verify, args=(place, theirs), name="verification", daemon=True)
    child.start()
    theirs.close()
    try:
        while not ours.poll(_LOOK_WALL_S):
            progress(0)
        result = ours.recv()
    except EOFError as error:
        raise StorageError("the verification has ended without a result") from error
    finally:
        ours.close()
        child.terminate()
        child.join()
    if isinstance(result, Exception):
        raise result
    return result  # type: ignore[no-any-return] # as ``_verify`` sends it


def _verify(place: AnchorPlace, results: Connection) -> None:
    """Verify and send the result or the fault; runs in the other process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when this ends
    if hasattr(os, "nice"):
        os.nice(_NICE)
    engine = open_database(place.url)
    with contextlib.closing(results):
        try:
            results.send(verify_start(engine, place))
        except Exception as error:  # noqa: BLE001 - raised again where it was asked for
            results.send(error)
    engine.dispose()
