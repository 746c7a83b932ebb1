"""Charging sites of the demo fleet: kinds of site, their transformers and charger types.

Shares are chosen so that a July workday at 13:00 looks like the project's Shanghai fleet model: about one charging
station in eight is busy. All figures are assumptions of that model.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerType:
    """A type of charging station."""

    p_max_kw: float
    phases: int

    @property
    def floor_kw(self) -> float:
        """6 A at 220 V a phase for AC; a tenth of the nameplate for DC."""
        if self.p_max_kw >= 20.0:  # noqa: PLR2004 - the smallest DC pile of the model
            return 0.1 * self.p_max_kw
        return 1.32 * self.phases


HOME = ChargerType(p_max_kw=7.04, phases=1)
THREE_PHASE = ChargerType(p_max_kw=11.0, phases=3)
DC_20 = ChargerType(p_max_kw=20.0, phases=3)
DC_60 = ChargerType(p_max_kw=60.0, phases=3)
DC_120 = ChargerType(p_max_kw=120.0, phases=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKind:
    """A kind of charging site with its own transformer.

    Attributes:
        kind: First part of the site id, which names the use of the stations.
        share: Share of all EV stations.
        kva: Transformer sizes, taken in turn.
        base_ratio: Greatest base load, as a share of the apparent power.
        count: Stations per transformer, in turn with ``kva``.
        charger_types: Types of station, in turn.
        weak: Nameplates exceed the headroom, so that a station's default is its safe share.
    """

    kind: str
    name: str
    operator_id: str
    share: float
    kva: tuple[float, ...]
    base_ratio: float
    count: tuple[int, ...]
    charger_types: tuple[ChargerType, ...]
    weak: bool = False


SITE_KINDS = (
    SiteKind(
        kind="home-old",
        name="Old compound",
        operator_id="compounds",
        share=0.34,
        kva=(400.0, 630.0, 500.0, 630.0, 400.0, 500.0, 800.0),
        base_ratio=0.62,
        count=(20, 32, 26, 32, 20, 26, 40),
        charger_types=(HOME,),
        weak=True,
    ),
    SiteKind(
        kind="home-new",
        name="Estate garage",
        operator_id="compounds",
        share=0.26,
        kva=(1000.0,),
        base_ratio=0.45,
        count=(40,),
        charger_types=(HOME,),
    ),
    SiteKind(
        kind="work",
        name="Office car park",
        operator_id="roadside",
        share=0.20,
        kva=(1000.0,),
        base_ratio=0.40,
        count=(32,),
        charger_types=(HOME, HOME, THREE_PHASE, HOME, DC_20),
    ),
    SiteKind(
        kind="public",
        name="Kerbside piles",
        operator_id="roadside",
        share=0.08,
        kva=(800.0,),
        base_ratio=0.45,
        count=(20,),
        charger_types=(HOME, HOME, THREE_PHASE),
    ),
    SiteKind(
        kind="rapid",
        name="Rapid hub",
        operator_id="roadside",
        share=0.12,
        kva=(2500.0,),
        base_ratio=0.05,
        count=(20,),
        charger_types=(DC_60, DC_60, DC_120, DC_60, DC_120),
    ),
)
