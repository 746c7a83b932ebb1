"""A layout reads points into the blocks they belong to."""

from adapters.modbus.devices.sunspec.layout import NO_LAYOUT, Layout
from adapters.modbus.devices.sunspec.models import Block, models
from adapters.modbus.transport.reading import Read


def layout() -> Layout:
    first = Block(model=models()[103], start=40000, length=models()[103].length())
    second = Block(model=models()[123], start=first.end, length=models()[123].length())
    return Layout(base=39998, numbers=(103, 123), blocks={103: first, 123: second})


def test_a_read_over_the_border_of_two_models_fills_both() -> None:
    found = layout()
    start, words = found.blocks[103].start, list(range(found.blocks[123].end - found.blocks[103].start))
    found.store(Read(address=start, count=len(words)), words)
    for block in found.blocks.values():
        for name in ("W",) if block.model.number == 103 else ("WMaxLimPct",):
            assert block.raw(name) == block.start - start + block.model.points[name].offset


def test_a_plan_covers_its_points_with_their_scale_factors_and_leaves_out_models_that_are_not_there() -> None:
    found = layout()
    plan = found.plan({103: ["W"], 123: ["WMaxLimPct"], 704: ["WMaxLimPct"]})
    covered = {place.address for read in plan.reads for place in read.places}
    block = found.blocks[103]
    assert {block.start + block.model.points[name].offset for name in ("W", "W_SF")} <= covered
    assert len(plan.reads) == 1
    assert NO_LAYOUT.plan({103: ["W"]}).reads == []
