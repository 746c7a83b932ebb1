"""Processor time and memory of processes."""

import os

from vpp.lab.bench.path.usage import UsageMeter, children_of, used


def test_what_a_process_used_is_kept_after_its_end() -> None:
    meter, own = UsageMeter(), os.getpid()
    meter.watch("ours", [own])
    meter.watch("gone", [2**22 + 1])
    meter.sample()
    assert meter.cpu_s()["ours"] > 0.0
    assert meter.rss_mb()["ours"] > 1.0
    assert "gone" not in meter.cpu_s()
    assert used(2**22 + 1) == (0.0, 0.0)
    assert isinstance(children_of(own), list)
