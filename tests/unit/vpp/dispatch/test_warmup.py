"""Kernels compiled before the first cycle that matters."""

from vpp.dispatch.allocation import merit_sharing, plan_following, situation
from vpp.dispatch.arbitration import guard, lease_terms
from vpp.dispatch.commands import due_commands
from vpp.dispatch.rows import assignments
from vpp.dispatch.warmup import warm_up


def test_after_warming_up_the_kernels_of_an_active_cycle_are_compiled() -> None:
    warm_up()

    for kernel in (
        situation.scan,
        merit_sharing._offers,
        merit_sharing._setpoints,
        assignments._assign,
        lease_terms.leased,
        guard._clamped,
        plan_following._followed,
        due_commands.due_layers,
    ):
        assert len(kernel.signatures) == 1, "every array comes in one type"  # type: ignore[attr-defined] # numba's own
