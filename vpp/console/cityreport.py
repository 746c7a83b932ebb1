"""Printable page of a city's day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from vpp.console import wording
from vpp.console.plots import to_svg
from vpp.domain.performance import Performance
from vpp.domain.request import DispatchRequest

_CAPTIONS = {
    "net-load": "Net load of the fleet, with requests and without",
    "delivered": "Target and delivery",
    "classes": "Delivery by resource class",
    "transformers": "Loading of transformers",
    "rebound": "Rebound above the baseline",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CityRequest:
    """A request of the day and its measurement."""

    request: DispatchRequest
    performance: Performance


def render_city_day(
    summary: Mapping[str, Any], pictures: Mapping[str, Figure], *, requests: Sequence[CityRequest]
) -> str:
    """Return one self-contained HTML page, printable on A4; it loads nothing.

    Args:
        summary: As in ``summary.json``.
        pictures: Figures by name, see `vpp.console.cityplots.city_pictures`.
        requests: Those that were committed.
    """
    drawn = [(_CAPTIONS[name], Markup(to_svg(figure, f"{name}-"))) for name, figure in pictures.items()]  # noqa: S704 - ours
    return _environment().get_template("city.html.j2").render(summary=summary, pictures=drawn, requests=requests)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vpp.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = wording.number
    environment.filters["percent"] = wording.percent
    return environment
