"""``vpp bench …``: signatures only; every benchmark imports what it needs when it runs."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(help="Measure this machine: one JSON object on the last line with --json.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="end with one JSON object on the last line of standard output")]
Seed = Annotated[int, typer.Option(min=0, help="seed of every random draw")]
Devices = Annotated[int, typer.Option(min=1, help="rows of the fleet")]


@bench.command()
def optimizer(
    *,
    instance: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="reference instance, npz")] = None,
    out: Annotated[Path | None, typer.Option(help="where to write the solution, npz")] = None,
    devices: Annotated[int, typer.Option(min=1, help="size of a generated instance if none is given")] = 20_000,
    seed: Seed = 0,
    rivals: Annotated[
        bool, typer.Option(help="also solve with Pyomo, linopy, HiGHS and FlexMeasures at sizes they can reach")
    ] = False,
    json: Json = False,
) -> None:
    """Plan one day of a fleet and certify the optimality gap."""
    from vpp.lab.bench.optimizer import run_optimizer

    raise typer.Exit(run_optimizer(instance, out=out, devices=devices, seed=seed, rivals=rivals, as_json=json))


@bench.command()
def dispatch(*, devices: Devices = 276_000, seed: Seed = 0, json: Json = False) -> None:
    """Follow a regulation signal for a day, closed loop, every 4 s."""
    from vpp.lab.bench.regulation.run import run_dispatch

    raise typer.Exit(run_dispatch(devices=devices, seed=seed, as_json=json))


@bench.command()
def quote(*, devices: Devices = 276_000, seed: Seed = 0, json: Json = False) -> None:
    """Quote requests over the whole fleet."""
    from vpp.lab.bench.quote import run_quote

    raise typer.Exit(run_quote(devices=devices, seed=seed, as_json=json))


@bench.command()
def redispatch(*, devices: Devices = 200_000, seed: Seed = 0, json: Json = False) -> None:
    """Plan again after an acceptance: a two-hour cut with ramps and a rebound cap, cold start."""
    from vpp.lab.bench.redispatch import run_redispatch

    raise typer.Exit(run_redispatch(devices=devices, seed=seed, as_json=json))


@bench.command()
def baseline(
    *,
    days: Annotated[int, typer.Option(min=1, help="days with calls, after four weeks without any")] = 60,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="first day  [default: 2026-06-01]")
    ] = None,
    sites: Annotated[int, typer.Option(min=8, help="buildings and plants; chargers and roofs in proportion")] = 60,
    world: Annotated[str, typer.Option(help="kind, hostile, or a world file NAME.toml")] = "hostile",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Judge every baseline method on the twin's truth over many days, honest and gaming."""
    from vpp.lab.bench.baseline.run import run_baseline

    raise typer.Exit(
        run_baseline(
            days=days, first=first.date() if first else None, sites=sites, world_name=world, seed=seed, as_json=json
        )
    )


@bench.command()
def journal(*, devices: Devices = 276_000, json: Json = False) -> None:
    """Measure the growth of the journal in a day with two calls and two hours of regulation."""
    from vpp.lab.bench.journal.growth import run_journal

    raise typer.Exit(run_journal(devices=devices, as_json=json))


@bench.command()
def gateway(
    *,
    stations: Annotated[int, typer.Option(min=1, help="concurrent charging stations")] = 10_000,
    processes: Annotated[int | None, typer.Option(min=1, help="gateway processes  [default: by stations]")] = None,
    tls_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="share of stations that use TLS")] = 0.0,
    mqtt_sites: Annotated[int, typer.Option(min=0, max=15_000, help="MQTT site gateways, on a broker of its own")] = 0,
    modbus_sites: Annotated[
        int, typer.Option(min=0, max=50_000, help="Modbus sites, over as many gateways as needed")
    ] = 0,
    modbus_poll_s: Annotated[float, typer.Option(min=1.0, max=60.0, help="seconds between polls of a site")] = 10.0,
    json: Json = False,
) -> None:
    """Load the device plane: connect, telemetry, fan-out, storm; against the ocpp package in the same run."""
    from vpp.lab.bench.gateway.run import run_gateway

    raise typer.Exit(
        run_gateway(
            stations=stations,
            processes=processes,
            tls_share=tls_share,
            mqtt_sites=mqtt_sites,
            modbus_sites=modbus_sites,
            modbus_poll_s=modbus_poll_s,
            as_json=json,
        )
    )


@bench.command()
def path(
    *,
    stations: Annotated[int, typer.Option(min=20, help="charging stations, each with a car")] = 10_000,
    gateways: Annotated[int, typer.Option(min=1, help="gateway processes behind one port")] = 2,
    kill: Annotated[bool, typer.Option("--kill", help="kill -9 one gateway in the hold")] = False,
    keep: Annotated[Path | None, typer.Option(help="new folder to keep logs and the journal in")] = None,
    json: Json = False,
) -> None:
    """Follow a request from its acceptance over NATS, gateways and stations to the meters, leg by leg."""
    from vpp.lab.bench.path.run import run_path

    raise typer.Exit(run_path(stations=stations, gateways=gateways, kill=kill, keep=keep, as_json=json))


@bench.command()
def store(
    *,
    devices: Annotated[int, typer.Option(min=1, help="devices that report once a minute")] = 200_000,
    minutes: Annotated[int, typer.Option(min=1, help="minutes of telemetry")] = 60,
    json: Json = False,
) -> None:
    """Fill and query the telemetry store."""
    from vpp.lab.bench.store import run_store

    raise typer.Exit(run_store(devices=devices, minutes=minutes, as_json=json))


@bench.command()
def restart(
    *,
    rows: Annotated[int, typer.Option(min=100, help="rows of the fleet")] = 20_000,
    events: Annotated[int, typer.Option(min=1_000, help="entries of the journal, roughly")] = 200_000,
    tail_cycles: Annotated[int, typer.Option(min=0, help="cycles since the last checkpoint, in a hold")] = 30,
    called: Annotated[int, typer.Option(min=1, help="rows commanded in each of them")] = 3_400,
    keep: Annotated[Path | None, typer.Option(help="new folder to keep databases and logs in")] = None,
    json: Json = False,
) -> None:
    """Start a service on a journal of years, and twice on an empty one; a city: --rows 276000 --events 10000000.

    events: entries of the journal of years.

    ready_s: wall seconds until every check of /readyz is passed on it.

    peak_rss_mb: most resident memory on it, MB, until it is ready and has made a plan.

    empty_rss_mb: the same at the second start on an empty journal: plan restored, record verified, plan made.

    journal_mb_per_day: growth of the journal on a day with two calls and two hours of regulation.

    Other names: empty_… and first_… are of the two starts on an empty journal, ready_rss_mb is the peak until ready
    alone, pss_mb counts pages shared with other processes in part; the rest is about the journal that was written.
    """
    from vpp.lab.bench.restart.run import Scale, run_restart

    scale = Scale(rows=rows, events=events, tail_cycles=tail_cycles, called=called)
    raise typer.Exit(run_restart(scale, keep=keep, as_json=json))


@bench.command()
def world(
    *,
    data: Annotated[Path, typer.Option(help="folder of the project's public data")] = Path("../shared/data"),
    world: Annotated[str, typer.Option(help="hostile, kind, or a file NAME.toml")] = "hostile",
    scale: Annotated[float, typer.Option(min=0.01, max=1.0, help="size of the city")] = 0.05,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day  [default: 2026-04-01]")
    ] = None,
    days: Annotated[int, typer.Option(min=28, max=366, help="days played")] = 84,
    seed: Seed = 1,
    json: Json = False,
) -> None:
    """Compare errors of simple forecasts on the twin's series with those on real ones, class by class."""
    from vpp.lab.bench.world.run import WorldOptions, run_world

    begin = date(2026, 4, 1) if first is None else first.date()
    options = WorldOptions(data=data, world=world, scale=scale, first=begin, days=days, seed=seed)
    raise typer.Exit(run_world(options, as_json=json))


@bench.command()
def forecast(
    *,
    data: Annotated[Path, typer.Option(help="folder of the project's public data")] = Path("../shared/data"),
    task: Annotated[list[str] | None, typer.Option(help="one task of the backtest, repeatable  [default: all]")] = None,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="also from data with a fifth missing, and stuck, late and sentinel values")
    ] = False,
    json: Json = False,
) -> None:
    """Forecast the last 45 % of every data set by rolling origin and print each task's figures beside its bars."""
    from vpp.lab.bench.forecast import run_forecast

    raise typer.Exit(run_forecast(data, tasks=tuple(task or ()), dirty=dirty, as_json=json))
