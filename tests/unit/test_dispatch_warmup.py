"""What is compiled before the first cycle that matters."""

from vpp.dispatch import controller, enlistment, guard, intent, outbox
from vpp.dispatch.warmup import warm_up


def test_after_warming_up_the_kernels_of_an_active_cycle_are_compiled() -> None:
    warm_up()

    for kernel in (
        controller.survey,
        controller._offers,
        controller._setpoints,
        enlistment.enlist,
        enlistment.leases,
        guard._clamped,
        intent._followed,
        outbox._actions,
    ):
        assert len(kernel.signatures) == 1, "every array comes in one type"  # type: ignore[attr-defined] # numba's own
