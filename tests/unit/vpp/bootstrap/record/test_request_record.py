"""The record of a request is printed from the journal, also once the request was forgotten."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, NOW, accepted, submit
from vpp.application.delivery.official_results import OFFICIAL
from vpp.bootstrap.record.request_record import record_of, run_request_record
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.errors import ConfigurationError, UnknownIdError


def recorded(settings: Settings) -> tuple[str, str]:
    """Write the record of an accepted request and of a cancelled one, both forgotten; return their ids."""
    store = Store.open(settings.database_url)
    book = RequestBook(store.journal.append, RequestRules())
    first = accepted(book)
    store.journal.append("baseline.issued", NOW.timestamp(), {"request_id": first, "power_kw": np.zeros((3, 4))})
    store.journal.append(OFFICIAL, NOW.timestamp(), {"request_id": first, "source": "grid", "energy_kwh": ["1", "2"]})
    second = submit(book, replace(DRAFT, area="south"))
    book.cancel(second, actor="Wang", reason="rain", now=NOW)
    store.journal.append("requests.forgotten", NOW.timestamp(), {"ids": [first, second]})
    store.close()
    return first, second


def test_entries_of_one_request_are_shown_with_its_actors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings.load(data_dir=tmp_path)
    first, second = recorded(settings)
    kinds = [entry.kind for entry in record_of(settings, first)]
    assert kinds == [*["request.transition"] * 4, "baseline.issued", OFFICIAL, "requests.forgotten"]
    assert run_request_record(settings, first, as_json=False) == 0
    assert f"{OFFICIAL}  source grid\n" in capsys.readouterr().out
    assert run_request_record(settings, second, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "to_state cancelled, actor Wang, reason rain" in lines[1]


def test_arrays_are_given_by_their_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings.load(data_dir=tmp_path)
    first, _ = recorded(settings)
    assert run_request_record(settings, first, as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["request_id"] == first
    assert shown["entries"][4]["body"]["power_kw"] == {"shape": [3, 4]}


def test_what_was_never_recorded_is_not_known(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with pytest.raises(ConfigurationError, match="no database"):
        record_of(settings, "req-1-1")
    recorded(settings)
    with pytest.raises(UnknownIdError, match="req-1-1"):
        record_of(settings, "req-1-1")
