"""All baseline methods by name, with the rule book each is from."""

from collections.abc import Mapping
from types import MappingProxyType

from vpp.settlement.baselines.methods.averaged_days import AveragedDays, Count, Pick
from vpp.settlement.baselines.methods.evidence import Method
from vpp.settlement.baselines.methods.given_power import PlannedPower, SessionPower
from vpp.settlement.baselines.methods.held_out_group import HeldOutGroup
from vpp.settlement.baselines.methods.matched_days import MatchedDays
from vpp.settlement.baselines.methods.own_meter import OwnMeter
from vpp.settlement.baselines.methods.same_day_adjustment import UNBOUNDED, Anchor, Form, SameDayAdjustment
from vpp.settlement.baselines.methods.same_day_hours import BridgedMeter, HeldMeter, HoursBeside
from vpp.settlement.baselines.methods.smoothed_days import SmoothedDays
from vpp.settlement.baselines.methods.usual_days import UsualDays
from vpp.settlement.baselines.methods.weather_regression import WeatherRegression

_BEFORE_NOTICE = SameDayAdjustment(form=Form.SHIFT, anchor=Anchor.NOTICE, begin_h=2.0, end_h=0.0)

_ALL: tuple[Method, ...] = (
    UsualDays(),
    UsualDays(
        name="same_type_days_shift",
        source="as same_type_days, moved by the difference instead of the ratio; also where load crosses zero",
        shift=_BEFORE_NOTICE,
    ),
    AveragedDays(
        name="mean_10_of_10",
        source="California ISO, 10-in-10: all of the last ten like days (four on days off), times the ratio of the"
        " second to fourth hour before the event, within 0.8 to 1.2",
        workdays=Count(taken=10, of=10, least=5),
        days_off=Count(taken=4, of=4, least=4),
        adjustment=SameDayAdjustment(begin_h=4.0, end_h=1.0),
    ),
    AveragedDays(
        name="high_4_of_5",
        source="PJM Manual 11, economic load response: highest four of five like days (two of three on days off) by use"
        " in the event's hours, days below a quarter of the mean replaced, plus the difference in the three hours that"
        " end one hour before the event (symmetric additive adjustment)",
        workdays=Count(taken=4, of=5, least=4),
        days_off=Count(taken=2, of=3, least=2),
        low_usage_ratio=0.25,
        adjustment=SameDayAdjustment(form=Form.SHIFT, begin_h=4.0, end_h=1.0, clip=UNBOUNDED),
    ),
    AveragedDays(
        name="high_5_of_10",
        source="New York ISO, average day CBL: highest five of ten like days (two of three on days off) by use in the"
        " event's hours, days below a quarter of the mean replaced, times the ratio of two hours that begin four hours"
        " before the event, within 0.8 to 1.2",
        workdays=Count(taken=5, of=10, least=5),
        days_off=Count(taken=2, of=3, least=2),
        low_usage_ratio=0.25,
        adjustment=SameDayAdjustment(begin_h=4.0, end_h=2.0),
    ),
    AveragedDays(
        name="mid_8_of_10",
        source="ERCOT, Demand Response Baseline Methodologies: ten preceding like days without the highest and the"
        " lowest; here without its event-day adjustment",
        workdays=Count(taken=8, of=10, least=5),
        days_off=Count(taken=4, of=6, least=3),
        pick=Pick.MIDDLE,
    ),
    SmoothedDays(),
    MatchedDays(),
    WeatherRegression(),
    WeatherRegression(
        name="weather_regression_shift",
        source="as weather_regression, plus the difference in the two hours before notice",
        adjustment=_BEFORE_NOTICE,
    ),
    HeldMeter(),
    OwnMeter(),
    BridgedMeter(),
    HoursBeside(),
    HeldOutGroup(),
    PlannedPower(),
    SessionPower(),
)
METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
