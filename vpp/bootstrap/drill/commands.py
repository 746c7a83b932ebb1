"""Command ``vpp drill``; it imports what it needs only when it runs: ``--help`` is instant."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from vpp.domain.request import CITY, Direction


def drill(
    *,
    area: Annotated[str, typer.Option(help="area that is tested, or city")] = CITY,
    kw: Annotated[
        float | None, typer.Option(min=1e-3, help="ask the whole area for this power, kW, instead of a drawn part")
    ] = None,
    share: Annotated[
        float,
        typer.Option(min=0.01, max=1.0, help="share of the devices, drawn at random, asked for all they can give"),
    ] = 0.2,
    direction: Annotated[Direction, typer.Option(help="up cuts net load, down raises it")] = Direction.UP,
    minutes: Annotated[float, typer.Option(min=15.0, max=240.0, help="length of the hold")] = 15.0,
    start: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"],
            help="begin of the hold, e.g. 2026-07-15T13:00+08:00  [default: the next quarter of an hour that is 15"
            " minutes away]",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="follow the drill until it is settled, and judge it")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", exists=True, dir_okay=False, help="TOML file of settings")
    ] = None,
    http: Annotated[
        str | None, typer.Option(help="address of the service's HTTP API, HOST:PORT  [default: 127.0.0.1:8080]")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="end with one JSON object on the last line of standard output")
    ] = False,
) -> None:
    """Test what a running service's fleet really delivers, by a short call of its own that is paid nothing.

    A call of a dispatcher ends it at once. With --wait, exits 0 only if what was delivered lies within the programme's
    band around what was committed, and prints the power verified; Ctrl-C stops the waiting, the drill goes on.
    Example: vpp drill --area pudong --share 0.2 --wait
    """
    from vpp.bootstrap.drill.run import DrillOptions, run_drill
    from vpp.config import Settings

    options = DrillOptions(
        area=area, kw=kw, share=share, direction=direction, minutes=minutes, start_at=start, wait=wait
    )
    raise typer.Exit(run_drill(Settings.load(config, http=http), options, as_json=json))
