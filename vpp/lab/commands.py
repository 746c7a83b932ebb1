"""``vpp simulate`` and ``vpp bench honesty``: signatures only; each imports what it needs when it runs."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from vpp.lab.bench.commands import Json

Sessions = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="real charging sessions, CSV or CSV.gz, to replay")
]
WeatherFile = Annotated[Path | None, typer.Option("--weather", exists=True, dir_okay=False, help="EPW or EPW.gz file")]
Seed = Annotated[int, typer.Option(min=0, help="seed of every random draw in the model")]
PresetName = Annotated[
    str,
    typer.Option(
        help="shanghai-2026, shanghai-2026-electric, shanghai-2026-storage-310, demo, or a table of your own, NAME.toml"
    ),
]
OwnFleet = Annotated[
    Path | None, typer.Option(exists=True, help="a fleet of your own: a CSV of devices, or a folder of CSVs")
]
Scale = Annotated[float, typer.Option(min=1e-4, max=10.0, help="factor on every count of the preset")]
FirstDay = Annotated[
    datetime | None,
    typer.Option("--day", "--from", formats=["%Y-%m-%d"], help="the first day, in Shanghai  [default: the preset's]"),
]
Days = Annotated[int, typer.Option(min=1, max=366, help="days played one after the other")]
Requests = Annotated[
    list[str] | None,
    typer.Option(
        "--request",
        "--requests",
        help="FILE.json, a JSON object, or target_kw=1e6,start=13:00,end=15:00; repeatable, replaces the preset's; "
        "with a clock time it comes every day",
    ),
]
CallsPerDay = Annotated[
    float,
    typer.Option(min=0.0, max=24.0, help="calls drawn at random instead of any others: any hour, direction, notice"),
]
Prices = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="CSV with time or hour, and price_cny_per_kwh")
]
Share = Annotated[
    float, typer.Option(min=0.05, max=1.0, help="share of the quoted p50 that is accepted where less can be had")
]
Sure = Annotated[bool, typer.Option("--sure", help="accept no more than the quoted p10")]
Hours = Annotated[
    float, typer.Option(min=0.25, max=24.0, help="how much of the last day is played; requests are played out")
]
Seeds = Annotated[str | None, typer.Option(help="several seeds, 1,2,3 or 1-8, in processes beside each other")]
WorldName = Annotated[
    str, typer.Option(help="what days, people, devices and network are like: hostile, kind, or a file NAME.toml")
]
HoursKnown = Annotated[
    bool,
    typer.Option(
        "--hours-known",
        help="hold the preset's reserve, as the kind world does: the hours of its calls are known beforehand",
    ),
]
Standing = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|kw=..,hours=..,price=..",
        help="standing commitment that the plan knows: a TOML file as in VPP_STANDING_COMMITMENTS, or"
        " kw=22000,hours=13-15+20-22,price=300 with CNY per MW and hour; also shortfall=, call=, minutes=, calls=",
    ),
]
Out = Annotated[Path, typer.Option(help="folder for summary, tables, pictures and report")]


def simulate(
    *,
    preset: PresetName = "shanghai-2026",
    fleet: OwnFleet = None,
    scale: Scale = 1.0,
    day: FirstDay = None,
    days: Days = 1,
    request: Requests = None,
    calls_per_day: CallsPerDay = 0.0,
    sessions: Sessions = None,
    weather: WeatherFile = None,
    prices: Prices = None,
    share: Share = 0.95,
    sure: Sure = False,
    hours: Hours = 24.0,
    seed: Seed = 1,
    seeds: Seeds = None,
    world: WorldName = "hostile",
    hours_known: HoursKnown = False,
    standing: Standing = None,
    out: Out = Path("simulation"),
    json: Json = False,
) -> None:
    """Play a whole city's days on virtual time, with the planner, dispatcher, guard and settlement of the service.

    No sockets. Judged by the settlement and by what would have happened otherwise, which the service never sees.
    """
    from vpp.lab.compose.input_files import InputFiles
    from vpp.lab.simulate.command import SimulateOptions, run_simulate
    from vpp.lab.simulate.seeds import run_seeds, seeds_in

    options = SimulateOptions(
        preset=preset,
        fleet=fleet,
        scale=scale,
        day=day.date() if day else None,
        requests=tuple(request or ()),
        inputs=InputFiles(sessions=sessions, weather=weather, prices=prices),
        share=share,
        hours=hours,
        seed=seed,
        out=out,
        world=world,
        hours_known=hours_known,
        standing=standing,
        days=days,
        calls_per_day=calls_per_day,
        sure=sure,
    )
    if seeds is not None:
        raise typer.Exit(run_seeds(options, seeds_in(seeds), as_json=json))
    raise typer.Exit(run_simulate(options, as_json=json))


def honesty(
    *,
    days: Annotated[int, typer.Option(min=1, max=366, help="days of every seed")] = 8,
    seed: Seed = 1,
    seeds: Seeds = None,
    preset: PresetName = "shanghai-2026",
    scale: Scale = 0.02,
    world: WorldName = "hostile",
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day  [default: 2026-06-01]")
    ] = None,
    calls_per_day: Annotated[
        float, typer.Option(min=0.0, max=24.0, help="real calls drawn at random, each for as much as p10 says")
    ] = 1.0,
    stretch: Annotated[
        int,
        typer.Option(
            min=1, max=60, help="days played as one run; the next begins with a fresh city and what was learnt so far"
        ),
    ] = 7,
    workers: Annotated[int, typer.Option(min=1, help="seeds played beside each other")] = 2,
    out: Annotated[
        Path, typer.Option(help="folder of the results; stretches that are there are not played again")
    ] = Path("honesty"),
    json: Json = False,
) -> None:
    """Play days of a simulated city and judge how often quotes are kept: p10, p50 and p90 by notice and hour.

    Windows of 1 h and 2 h are quoted every quarter of an hour for nobody and judged by hindsight; real calls ask for
    p10 and are judged by the simulated truth. A run that was stopped is continued with the same --out.
    """
    from vpp.lab.honesty.run import HonestyOptions, run_honesty
    from vpp.lab.honesty.stretch import Course
    from vpp.lab.simulate.seeds import seeds_in

    course = Course(
        preset=preset,
        scale=scale,
        world=world,
        first=first.date() if first else date(2026, 6, 1),
        calls_per_day=calls_per_day,
        stretch_days=stretch,
    )
    chosen = (seed,) if seeds is None else seeds_in(seeds)
    options = HonestyOptions(course=course, days=days, seeds=chosen, workers=workers, out=out)
    raise typer.Exit(run_honesty(options, as_json=json))
