"""Cycles of requests, folded and loaded again."""

import numpy as np

from vpp.dispatch.tracking_memory import TRACKING, TrackingMemory
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import decode_state, encode_state


def cycle(request_id: str, sequence: int) -> JournalEntry:
    figures = {"target_kw": 5.0, "baseline_kw": None, "measured_kw": float(sequence)}
    body = {"id": request_id, "memory": {"at_s": float(sequence)}, **figures}
    return JournalEntry(sequence=sequence, kind=TRACKING, at_s=float(sequence), body=body, sha256="")


def folded(*entries: JournalEntry, onto: TrackingMemory | None = None) -> TrackingMemory:
    memory = onto or TrackingMemory()
    for entry in entries:
        memory.follow(entry)
    return memory


def again(memory: TrackingMemory) -> TrackingMemory:
    loaded = TrackingMemory()
    loaded.load(decode_state(encode_state(memory.state())))
    return loaded


def test_loaded_cycles_and_later_ones_are_the_same_bits_as_all_of_them() -> None:
    entries = [cycle("a", 1), cycle("b", 2), cycle("a", 3), cycle("c", 4), cycle("b", 5)]
    whole = encode_state(folded(*entries).state())
    for cut in range(len(entries) + 1):
        memory = again(folded(*entries[:cut]))
        assert encode_state(folded(*entries[cut:], onto=memory).state()) == whole


def test_cycles_of_past_requests_are_in_memory_once() -> None:
    memory = folded(cycle("b", 3), onto=again(folded(cycle("a", 1), cycle("b", 2))))
    one, other = memory.cycles(), memory.cycles()
    assert np.shares_memory(one["a"], other["a"])
    assert not one["a"].flags.writeable
    assert one["b"][:, 0].tolist() == [2.0, 3.0]


def test_cycles_of_a_forgotten_request_go_whether_loaded_or_new() -> None:
    memory = folded(cycle("b", 3), cycle("a", 4), onto=again(folded(cycle("a", 1), cycle("c", 2))))
    memory.forget(["a", "never"])
    assert (set(memory.last), set(memory.cycles())) == ({"b", "c"}, {"b", "c"})


def amended(request_id: str, sequence: int, at_s: float, measured_kw: float) -> JournalEntry:
    entry = cycle(request_id, sequence)
    body = {**entry.body, "metered": [[at_s], [measured_kw]]}
    return JournalEntry(sequence=sequence, kind=TRACKING, at_s=float(sequence), body=body, sha256="")


def test_what_later_readings_make_of_a_cycle_takes_its_place_before_a_checkpoint_and_after_one() -> None:
    entries = [cycle("a", 1), cycle("b", 2), amended("a", 3, 1.0, 11.0), amended("a", 4, 3.0, 33.0)]
    whole = folded(*entries)
    assert whole.cycles()["a"][:, 3].tolist() == [11.0, 33.0, 4.0]
    for cut in range(len(entries) + 1):
        memory = again(folded(*entries[:cut]))
        assert encode_state(folded(*entries[cut:], onto=memory).state()) == encode_state(whole.state())


def test_a_cycle_that_is_not_known_is_not_amended() -> None:
    memory = folded(cycle("a", 2), amended("a", 3, 1.0, 11.0))
    assert memory.cycles()["a"][:, 3].tolist() == [2.0, 3.0]
