"""Journals of an earlier format (commit 2f8590a), cut off in a hold and in regulation, stay readable and can be led on.

Each fixture is the SQLite database of a small city whose process died; ``facts.json`` holds what was true then.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.places import FIXTURES
from vpp.bootstrap.record.audit import run_audit
from vpp.bootstrap.record.erasure import erase_driver
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.lab.simulate.city import virtual_settings
from vpp.runtime.clock import VirtualClock
from vpp.storage.journal import verify

DRIVER = b"CP00003:175"
"""A charging session of both fixtures, which name it in clear."""
JOURNALS = FIXTURES / "journal-2f8590a"
FACTS = json.loads((JOURNALS / "facts.json").read_text())


@pytest.fixture(params=sorted(FACTS))
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """Return the facts of a fixture and a folder with its database."""
    content = gzip.decompress((JOURNALS / f"{request.param}.sqlite3.gz").read_bytes())
    (tmp_path / "vpp.sqlite3").write_bytes(content)
    return FACTS[request.param], tmp_path


def test_the_chain_of_an_old_journal_verifies(kept: tuple[dict[str, Any], Path]) -> None:
    facts, folder = kept
    store = Store.open(virtual_settings(folder).database_url)
    chain = verify(store.database)
    store.close()

    assert (chain.count, chain.head_sha256) == (facts["entries"], facts["head_sha256"])


async def test_a_service_goes_on_from_an_old_journal(kept: tuple[dict[str, Any], Path]) -> None:
    facts, folder = kept
    await goes_on(facts, virtual_settings(folder))


async def test_names_in_an_old_journal_can_be_erased_and_a_service_goes_on(kept: tuple[dict[str, Any], Path]) -> None:
    facts, folder = kept
    outside = folder.with_name(f"{folder.name}-record")
    settings = virtual_settings(folder).model_copy(
        update={"record_key": outside / "key.pem", "record_heads": outside / "heads"}
    )
    assert DRIVER in bytes_of(folder)
    assert erase_driver(settings, [DRIVER.decode()]).goes["entries of an earlier version with such names"] == 2

    assert DRIVER not in bytes_of(folder)
    assert run_audit(settings, as_json=True) == 0
    await goes_on(facts, settings, epoch=3)
    assert run_audit(settings, as_json=True) == 0


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def goes_on(facts: dict[str, Any], settings: Settings, *, epoch: int = 2) -> None:
    store = Store.open(settings.database_url)
    service = Service(settings, store, VirtualClock(facts["stopped_s"]), [])
    service.lead()
    request = service.plant.request(facts["request"])
    table = service.core.engine.in_force
    rows = np.flatnonzero(~np.isnan(table.dispatch_kw) & (table.lease_s > facts["stopped_s"]))

    assert len(service.core.engine.index) == facts["resources"]
    assert (request.state.value, request.accepted_kw) == (facts["state"], facts["accepted_kw"])
    assert {str(row): float(table.dispatch_kw[row]) for row in rows} == pytest.approx(facts["held"])
    assert service.plant.commands()["sent"] == facts["sent"]
    assert np.count_nonzero(~np.isnan(table.default_kw)) == facts["defaults"]
    assert service.core.engine.outbox.epoch == epoch
    await service.close()
    store.close()
