"""A settlement measured again from the journal and the stored intervals, bit for bit."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.story.conftest import Story
from vpp.bootstrap.record.settlement_audit import audited, run_settlement_audit
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError, ConflictError
from vpp.domain.timegrid import TimeGrid


def copy_of(story: Story, directory: Path) -> tuple[Settings, Store]:
    """Return a copy of a story's database that may be changed."""
    copytree(Path(urlsplit(story.settings.database_url).path).parent, directory / "copy")
    settings = story.settings.model_copy(update={"data_dir": directory / "copy"})
    return settings, Store.open(settings.database_url)


@pytest.mark.parametrize("story", ["delivered", "restarted"])
def test_every_figure_comes_out_as_it_was_issued(story: str, request: pytest.FixtureRequest) -> None:
    told: Story = request.getfixturevalue(story)
    before = told.store.journal.head()
    found = audited(told.settings, told.store, told.request.id)
    assert found.differences == ()
    assert found.compared > 40
    assert found.programme_sha256 == told.performance.baseline.programme_sha256
    assert told.store.journal.head() == before, "an audit writes nothing"


def test_a_clock_that_was_set_back_afterwards_changes_nothing(delivered: Story, tmp_path: Path) -> None:
    settings, store = copy_of(delivered, tmp_path)
    store.journal.append("note", delivered.request.draft.start_at.timestamp(), {"passable": True})
    store.journal.flush_now()
    assert audited(settings, store, delivered.request.id).differences == ()
    store.close()


def test_a_changed_meter_is_found_in_its_interval(
    delivered: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, store = copy_of(delivered, tmp_path)
    held = next(i for i in delivered.performance.intervals if i.phase == "holding")
    grid = TimeGrid(start_at=held.start_at, count=1)
    row = int(np.flatnonzero(np.isfinite(store.meters.read(grid)[:, 0]))[0])
    store.meters.import_rows(grid, np.array([row], dtype=np.int32), store.meters.read(grid)[[row]] + 5.0)
    store.close()

    assert run_settlement_audit(settings, delivered.request.id, as_json=True) == 1
    body = json.loads(capsys.readouterr().out)
    assert not body["holds"]
    step = delivered.performance.intervals.index(held)
    assert f"intervals.measured_kw[{step}]" in {one["field"] for one in body["differences"]}


def test_a_settlement_whose_intervals_are_kept_no_longer_is_no_difference(delivered: Story, tmp_path: Path) -> None:
    settings, store = copy_of(delivered, tmp_path)
    store.meters.forget(delivered.request.draft.start_at.timestamp() + 1800.0)
    with pytest.raises(ConflictError, match="VPP_INTERVAL_DAYS"):
        audited(settings, store, delivered.request.id)
    store.close()


def test_a_request_that_was_not_settled_is_named(delivered: Story) -> None:
    with pytest.raises(ConfigurationError, match="'r-none' has no settlement"):
        audited(replace(delivered).settings, delivered.store, "r-none")
