"""The dispatcher of the demo: asks for a share of a quote that is steady, and accepts what the answer offers."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from vpp.domain.errors import ConfigurationError
from vpp.domain.timegrid import floor_s, instant
from vpp.domain.units import SECONDS_PER_MINUTE, STEP_S
from vpp.fleet.calendar import SHANGHAI
from vpp.lab.demo.client import Client
from vpp.ports import Clock

FAR_TOO_MUCH_KW = 1e6
_AFTER_QUARTER_S = 60.0
_PROBE_S = 120.0
_STEADY_RATIO = 0.02
_MOST_PROBES = 8


class Dispatcher:
    """Requests one cut of the whole city's net load.

    Args:
        client: The service.
        clock: The clock of all processes.
        hold: Length of the hold.
        share: Share of the quoted p50 that is asked for.
        print_line: Shows a line to the user.
    """

    def __init__(
        self, client: Client, clock: Clock, *, hold: timedelta, share: float, print_line: Callable[[str], None]
    ) -> None:
        self._client = client
        self._clock = clock
        self._hold = hold
        self._share = share
        self._print_line = print_line

    async def wait_until_metered(self, not_before: datetime) -> None:
        """Return once a whole quarter of an hour has been metered: what has no history cannot be committed.

        Args:
            not_before: When a fleet that connects quickly is asked, so that every run asks at the same hour.
        """
        whole_s = floor_s(self._clock.now_s(), STEP_S) + 2 * STEP_S
        await self._clock.sleep_until(max(whole_s, not_before.timestamp()) + _AFTER_QUARTER_S)

    async def steady_quote(self, start_at: datetime) -> dict[str, Any]:
        """Return a request for far too much whose quoted p50 agrees with the one before.

        Raises:
            ConfigurationError: No two quotes agree.
        """
        seen: list[float] = []
        for probe in range(_MOST_PROBES):
            request = await self._ask(start_at, FAR_TOO_MUCH_KW, key=f"demo-quote-{probe}")
            p50_kw = quoted_kw(request)
            if seen and abs(p50_kw - seen[-1]) <= _STEADY_RATIO * max(p50_kw, seen[-1]):
                return request
            seen.append(p50_kw)
            self._print_line(
                f"{_clock_time(self._clock.now())} quoted p50 {p50_kw:,.0f} kW, waiting for a steady quote"
            )
            await self._clock.sleep(_PROBE_S)
        raise ConfigurationError(f"no steady quote: {', '.join(f'{kw:,.0f}' for kw in seen)} kW")

    async def commit(self, start_at: datetime) -> dict[str, Any]:
        """Request a share of what is quoted and accept what the answer offers; return the accepted request."""
        probe = await self.steady_quote(start_at)
        self._print_line(
            f"asked for 1 GW: [bold]{probe['quote']['verdict']}[/], p50 {quoted_kw(probe):,.0f} kW available"
        )
        for limit in probe["quote"]["limits"][:3]:
            self._print_line(f"  limited by {limit['name']}")
        target_kw = round(self._share * quoted_kw(probe))
        asked = await self._ask(start_at, target_kw, key="demo-request")
        self._print_line(f"asked for {target_kw:,} kW: [bold]{asked['quote']['verdict']}[/]")
        offer = {} if asked["quote"]["verdict"] == "feasible" else {"offer": _less_power(asked["quote"])}
        accepted = await self._client.post(f"/requests/{asked['id']}/accept", offer, key="demo-accept")
        self._print_line(f"accepted {accepted['accepted_kw']:,.0f} kW of a p50 of {quoted_kw(accepted):,.0f} kW")
        return accepted

    async def _ask(self, start_at: datetime, target_kw: float, *, key: str) -> dict[str, Any]:
        return await self._client.post("/requests", self._draft(start_at, target_kw), key=key)

    def _draft(self, start_at: datetime, target_kw: float) -> dict[str, Any]:
        return {
            "product": "peak_shaving",
            "direction": "up",
            "target_kw": target_kw,
            "area": "city",
            "start_at": start_at.astimezone(SHANGHAI).isoformat(),
            "end_at": (start_at + self._hold).astimezone(SHANGHAI).isoformat(),
            "notice_class": "intraday",
        }


def next_start(now: datetime) -> datetime:
    """Return the first quarter of an hour that leaves an intraday call its notice, its ramp and a steady quote."""
    earliest_s = now.timestamp() + 25.0 * SECONDS_PER_MINUTE
    return instant(-(-earliest_s // STEP_S) * STEP_S)


def quoted_kw(request: Mapping[str, Any]) -> float:
    """Return the power of a request's quote that holds throughout with even chances, kW."""
    return float(min(request["quote"]["deliverable_kw"]["p50"]))


def _less_power(quote: Mapping[str, Any]) -> int:
    """Return the number of the counter-offer of the same hours at less power.

    Raises:
        ConfigurationError: There is none.
    """
    for number, offer in enumerate(quote["counter_offers"]):
        if offer["kind"] == "less_power":
            return number
    raise ConfigurationError("the quote offers no power at all for these hours")


def _clock_time(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%H:%M}"
