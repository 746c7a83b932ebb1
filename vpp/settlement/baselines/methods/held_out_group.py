"""Randomised hold-out group: rows drawn by lot that are not called show what the others would have done."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need
from vpp.settlement.baselines.reference_days import mean_known


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutGroup:
    """A control-group rule.

    Attributes:
        days: Like days over which every row's share of the group is measured.
        least: Fewer held-out rows than this and there is no baseline.
    """

    name: str = "held_out_group"
    source: str = "control group baseline, California ISO Baseline Accuracy Assessment (Bode and Ciccone 2017)"
    days: int = 10
    least: int = 5
    needs: frozenset[Need] = frozenset({Need.HELD_OUT, Need.AFTER})

    def of(self, evidence: Evidence) -> Estimate:
        """Return the group's load in the event, times each row's usual share of it in these hours.

        Held-out rows get their own meters: they deliver nothing.
        """
        group = evidence.held_out
        if group is None or int(group.sum()) < self.least:
            have = 0 if group is None else int(group.sum())
            return Estimate(power_kw=evidence.no_kw(), note=f"{have} held-out rows of at least {self.least}")
        days = tuple(islice(evidence.like_days(), self.days))
        if not days:
            return Estimate(power_kw=evidence.no_kw(), note="no like days")
        usual_kw = mean_known(np.array([evidence.read(day)[:, evidence.event] for day in days]))
        shown_kw = evidence.today_kw[:, evidence.event]
        group_usual, group_shown = _totals(usual_kw, shown_kw, group)
        level = np.where(
            np.abs(group_usual) > 0.0, group_shown / np.where(group_usual == 0.0, 1.0, group_usual), np.nan
        )
        power_kw = np.where(group[:, None], shown_kw, usual_kw * level)
        return Estimate(power_kw=power_kw, days=days, adjustment=float(np.nanmean(level)) - 1.0)


def drawn(ids: Sequence[str], share: float, key: str) -> BoolArray:
    """Return which resources a programme holds out, drawn by a hash of ``key`` and their ids, shape ``(n,)``.

    Nobody can choose to be drawn, and anybody can check it: the hash is public once the key is.
    """
    ceiling = int(share * 2**64)
    digests = (hashlib.sha256(f"{key}/{one}".encode()).digest()[:8] for one in ids)
    return np.array([int.from_bytes(digest, "big") < ceiling for digest in digests], dtype=np.bool_)


def _totals(usual_kw: FloatArray, shown_kw: FloatArray, group: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return the group's usual and shown power on every step, over rows known in both, shape ``(n_event,)`` each."""
    known = np.isfinite(usual_kw) & np.isfinite(shown_kw) & group[:, None]
    return np.where(known, usual_kw, 0.0).sum(axis=0), np.where(known, shown_kw, 0.0).sum(axis=0)
