"""Several seeds: which, and their figures together."""

import pytest

from vpp.domain.errors import InputError
from vpp.lab.simulate.seeds import means_of, seeds_in


def test_seeds_are_named_one_by_one_or_as_a_range() -> None:
    assert seeds_in("1,2,3") == (1, 2, 3)
    assert seeds_in("1-3, 7") == (1, 2, 3, 7)


@pytest.mark.parametrize("text", ["", "one", "1,1", "1-", "-3", "1,,2"])
def test_seeds_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--seeds"):
        seeds_in(text)


def test_means_are_over_the_seeds_that_have_a_figure() -> None:
    found = means_of([{"a": 1.0, "b": None}, {"a": 3.0, "b": 5.0}, {"c": None}])
    assert found == {"a": 2.0, "b": 5.0, "c": None}
