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
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.lab.simulate.city import virtual_settings
from vpp.runtime.clock import VirtualClock
from vpp.storage.journal import verify

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
    settings = virtual_settings(folder)
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
    assert service.core.engine.outbox.epoch == 2
    await service.close()
    store.close()
