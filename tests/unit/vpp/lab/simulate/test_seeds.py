"""Several seeds: which, and their figures together."""

import pickle
from pathlib import Path

import pytest

from vpp.domain.errors import InputError, VppError
from vpp.lab.compose.input_files import InputFiles
from vpp.lab.simulate.command import SimulateOptions
from vpp.lab.simulate.seeds import _one, means_of, seeds_in


def test_seeds_are_named_one_by_one_or_as_a_range() -> None:
    assert seeds_in("1,2,3") == (1, 2, 3)
    assert seeds_in("1-3, 7") == (1, 2, 3, 7)


@pytest.mark.parametrize("text", ["", "one", "1,1", "1-", "-3", "1,,2", "5-2", "1,5-2", "²"])
def test_seeds_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--seeds"):
        seeds_in(text)


def test_means_are_over_the_seeds_that_have_a_figure() -> None:
    found = means_of([{"a": 1.0, "b": None}, {"a": 3.0, "b": 5.0}, {"c": None}])
    assert found == {"a": 2.0, "b": 5.0, "c": None}


def test_what_a_process_cannot_play_reaches_its_parent_as_one_line(tmp_path: Path) -> None:
    options = SimulateOptions(
        preset="atlantis",
        fleet=None,
        scale=1.0,
        day=None,
        requests=(),
        inputs=InputFiles(),
        share=0.9,
        hours=1.0,
        seed=1,
        out=tmp_path,
    )
    with pytest.raises(VppError) as caught:
        _one(options)
    assert "shanghai-2026" in str(pickle.loads(pickle.dumps(caught.value)))  # noqa: S301 - our own bytes
