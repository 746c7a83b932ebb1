"""The solver's process: frames in, frames out, whatever is in them."""

import io
import os

import numpy as np

from optimizer.problem.problem import Charging, Flexible, Network, Problem, Solar, Storing
from optimizer.problem.solution import Status
from optimizer.wire import ERROR, HEADER_BYTES, PROBLEM, READY, SOLUTION, frame, problem_bytes, solution_from
from optimizer.worker import serve, serve_while_asked
from tests.patience import PATIENCE_WALL_S

STEPS = 3


def tiny() -> Problem:
    wide = np.full((1, STEPS), 100.0)
    return Problem(
        step_h=1.0,
        price_cny_per_kwh=np.array([0.5, 0.2, 0.9]),
        peak_price_cny_per_kw=0.0,
        unserved_price_cny_per_kwh=4.0,
        fixed_kw=np.zeros(STEPS),
        network=Network(parent=np.array([-1]), limit_kw=wide, export_limit_kw=wide, base_kw=0.0 * wide),
        charging=Charging(
            transformer=np.array([0]),
            arrive=np.array([0]),
            depart=np.array([STEPS]),
            p_max_kw=np.array([7.0]),
            need_kwh=np.array([5.0]),
        ),
        storing=Storing.none(),
        solar=Solar.none(STEPS),
        flexible=Flexible.none(STEPS),
    )


def served(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the frames that answer ``data``."""
    sink = io.BytesIO()
    serve(io.BytesIO(data), sink)
    answers, rest = [], sink.getvalue()
    while rest:
        end = HEADER_BYTES + int.from_bytes(rest[1:HEADER_BYTES], "big")
        answers.append((rest[:1], rest[HEADER_BYTES:end]))
        rest = rest[end:]
    return answers


def test_it_says_ready_then_answers_one_problem_after_another() -> None:
    asked = frame(PROBLEM, problem_bytes(tiny(), deadline_s=PATIENCE_WALL_S))
    ready, first, second = served(asked + asked)
    assert ready == (READY, b"")
    for kind, payload in (first, second):
        assert kind == SOLUTION
        found = solution_from(payload)
        assert found.status is Status.OPTIMAL
        np.testing.assert_allclose(found.power_kw, [[0.0, 5.0, 0.0]], atol=1e-6)


def test_bytes_that_are_no_problem_get_a_named_error_and_the_next_problem_its_answer() -> None:
    asked = frame(PROBLEM, problem_bytes(tiny(), deadline_s=PATIENCE_WALL_S))
    _, wrong, right = served(frame(PROBLEM, b"nonsense") + asked)
    assert wrong[0] == ERROR
    assert b"payload: expected" in wrong[1]
    assert right[0] == SOLUTION


def test_an_input_that_ends_inside_a_frame_ends_the_service() -> None:
    asked = frame(PROBLEM, problem_bytes(tiny(), deadline_s=PATIENCE_WALL_S))
    assert served(asked[:-10]) == [(READY, b"")]


def test_it_ends_without_a_word_once_nobody_reads_its_answers() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as sink:
        serve_while_asked(io.BytesIO(), sink)
