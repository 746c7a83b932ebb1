"""Command line. Every command imports what it needs only when it runs, so that ``--help`` is instant."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vpp.bootstrap.drill.commands import drill
from vpp.bootstrap.record.commands import audit, erase
from vpp.domain.errors import VppError
from vpp.lab.backtest.commands import backtest
from vpp.lab.bench.commands import bench
from vpp.lab.commands import Seed, Sessions, WeatherFile, honesty, simulate

app = typer.Typer(
    name="vpp",
    help="The virtual power plant of a megacity: connect, plan, dispatch, measure, settle.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="Keys of charging stations.", no_args_is_help=True)
modbus_map = typer.Typer(help="Register maps of Modbus devices without SunSpec.", no_args_is_help=True)
for _name, _group in {"audit": audit, "bench": bench, "erase": erase, "keys": keys, "modbus-map": modbus_map}.items():
    app.add_typer(_group, name=_name)
app.command()(backtest)

ConfigFile = Annotated[Path | None, typer.Option("--config", exists=True, dir_okay=False, help="TOML file of settings")]
DataDir = Annotated[Path | None, typer.Option(help="folder of the embedded database and of reports  [default: .vpp]")]
Http = Annotated[str | None, typer.Option(help="address of the HTTP API, HOST:PORT  [default: 127.0.0.1:8080]")]
Json = Annotated[bool, typer.Option("--json", help="end with one JSON object on the last line of standard output")]
Stations = Annotated[int, typer.Option(min=0, help="charging stations (OCPP 1.6, 2.0.1 and 2.1)")]
Inverters = Annotated[int, typer.Option(min=0, help="photovoltaic inverters (SunSpec)")]
Batteries = Annotated[int, typer.Option(min=0, help="stationary batteries (SunSpec)")]
V2g = Annotated[int, typer.Option("--v2g", min=0, help="bidirectional charging stations (OCPP 2.1)")]
StationList = Annotated[
    Path, typer.Option("--stations", exists=True, dir_okay=False, help="ids of stations, one a line")
]
KeyTableFile = Annotated[
    Path, typer.Option("--table", help="key table named by VPP_OCPP_KEYS; its secret lies beside it")
]
HistoryDays = Annotated[int, typer.Option(min=0, max=60, help="days of metered history imported before the start")]
Sites = Annotated[int, typer.Option(min=0, help="HVAC and industrial sites (MQTT gateways)")]
PlantKw = Annotated[float, typer.Option(min=1.0, max=100_000.0, help="least power an industrial plant can cut, kW")]


@app.command()
def serve(
    *,
    config: ConfigFile = None,
    http: Http = None,
    ocpp: Annotated[
        str | None, typer.Option(help="address stations connect to, HOST:PORT  [default: 127.0.0.1:9000]")
    ] = None,
    mqtt_url: Annotated[str | None, typer.Option(help="broker of the site gateways, mqtt[s]://HOST:PORT")] = None,
    data_dir: DataDir = None,
    standby: Annotated[
        bool, typer.Option("--standby", help="stand by even where nobody leads yet; lead once the leader has ended")
    ] = False,
) -> None:
    """Run the service: API, planner, dispatcher and every adapter in one process.

    Where another service leads the same database this one stands by: it reads, and leads once the other has ended.
    """
    from vpp.config import Settings

    settings = Settings.load(
        config, http=http, ocpp=ocpp, mqtt_url=mqtt_url, data_dir=data_dir, standby=standby or None
    )
    # A wrong setting is reported before the heavy part is imported.
    from vpp.bootstrap.serve import run_service

    run_service(settings)


@app.command()
def gateway(
    *,
    config: ConfigFile = None,
    bus_url: Annotated[str | None, typer.Option(help="bus of the service, nats://HOST:PORT")] = None,
    ocpp: Annotated[
        str | None,
        typer.Option(help="address stations connect to, HOST:PORT, shared with other gateways of this machine"),
    ] = None,
    mqtt_url: Annotated[str | None, typer.Option(help="broker of the site gateways, mqtt[s]://HOST:PORT")] = None,
    name: Annotated[
        str | None, typer.Option(help="name of this gateway, the same over restarts  [default: host-pid]")
    ] = None,
) -> None:
    """Run a shard of the device plane: OCPP, Modbus and MQTT for a service on the bus.

    Give the service and every gateway the same VPP_BUS_URL. Stations go to any gateway; Modbus and MQTT sites are
    shared out among those that are there.
    """
    from vpp.config import Settings

    settings = Settings.load(config, bus_url=bus_url, ocpp=ocpp, mqtt_url=mqtt_url, gateway=name)
    from vpp.bootstrap.gateway import run_gateway

    run_gateway(settings)


@app.command()
def fleet(
    *,
    config: ConfigFile = None,
    http: Http = None,
    ocpp: Annotated[str | None, typer.Option(help="address of the service for charging stations, HOST:PORT")] = None,
    mqtt_url: Annotated[str | None, typer.Option(help="broker of the site gateways; without one no sites run")] = None,
    stations: Stations = 1000,
    inverters: Inverters = 200,
    batteries: Batteries = 50,
    v2g: V2g = 50,
    sites: Sites = 20,
    plant_kw: PlantKw = 1000.0,
    sessions: Sessions = None,
    weather: WeatherFile = None,
    seed: Seed = 1,
    history_days: HistoryDays = 9,
    modbus_port: Annotated[
        int, typer.Option(min=1, max=65000, help="first port of the simulated Modbus sites")
    ] = 15020,
    drop_ratio: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="share of devices that fail for good on SIGUSR1")
    ] = 0.1,
    truth: Annotated[
        Path | None, typer.Option(help="file for the true course of the day and the counterfactual, written at the end")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="processes the stations run in; as few as suffice if not given"),
    ] = None,
) -> None:
    """Run simulated devices that connect to a running service over the real protocols."""
    from vpp.config import Settings

    settings = Settings.load(config, http=http, ocpp=ocpp, mqtt_url=mqtt_url)
    from vpp.lab.compose.fleet import FleetOptions, run_fleet
    from vpp.lab.compose.input_files import InputFiles
    from vpp.lab.twin.population.presets import FleetSize

    options = FleetOptions(
        size=FleetSize(
            stations=stations,
            inverters=inverters,
            batteries=batteries,
            v2g=v2g,
            sites=sites,
            plant_kw=plant_kw,
        ),
        inputs=InputFiles(sessions=sessions, weather=weather),
        seed=seed,
        history_days=history_days,
        modbus_port=modbus_port,
        drop_ratio=drop_ratio,
        truth=truth,
        processes=processes,
    )
    run_fleet(settings, options)


@app.command()
def demo(
    *,
    stations: Stations = 2400,
    inverters: Inverters = 60,
    batteries: Batteries = 0,
    v2g: V2g = 50,
    sites: Sites = 12,
    plant_kw: PlantKw = 300.0,
    sessions: Sessions = None,
    weather: WeatherFile = None,
    seed: Seed = 1,
    speed: Annotated[
        float,
        typer.Option(min=1.0, max=200.0, help="clock seconds per wall second, fewer where the machine cannot keep up"),
    ] = 50.0,
    share: Annotated[float, typer.Option(min=0.05, max=1.0, help="share of the quoted p50 that is asked for")] = 0.83,
    hold_minutes: Annotated[float, typer.Option(min=15.0, max=240.0, help="length of the hold")] = 60.0,
    history_days: HistoryDays = 9,
    modbus_port: Annotated[
        int | None,
        typer.Option(min=1, max=65000, help="first port of the simulated Modbus sites  [default: free ones]"),
    ] = None,
    drop_ratio: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="share of devices that fail during the hold")
    ] = 0.0,
    out: Annotated[Path, typer.Option(help="folder for the report, its plots and the logs")] = Path("demo-report"),
    json: Json = False,
) -> None:
    """Plan, dispatch, measure and settle one peak-shaving request with a mixed fleet on real sockets.

    Exits 0 only if what was accepted was delivered and everything promised was kept.
    """
    from vpp.lab.compose.input_files import InputFiles
    from vpp.lab.demo import DemoOptions, run_demo
    from vpp.lab.twin.population.presets import FleetSize

    options = DemoOptions(
        size=FleetSize(
            stations=stations,
            inverters=inverters,
            batteries=batteries,
            v2g=v2g,
            sites=sites,
            plant_kw=plant_kw,
        ),
        inputs=InputFiles(sessions=sessions, weather=weather),
        seed=seed,
        speed=speed,
        share=share,
        hold_minutes=hold_minutes,
        history_days=history_days,
        modbus_port=modbus_port,
        drop_ratio=drop_ratio,
        out=out,
    )
    raise typer.Exit(run_demo(options, as_json=json))


app.command()(simulate)
app.command()(drill)
bench.command()(honesty)


@app.command()
def replay(
    *,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    last: Annotated[
        bool, typer.Option("--last", help="only the last run, from the checkpoint it was restored from")
    ] = False,
    json: Json = False,
) -> None:
    """Decide every recorded cycle again from journal and telemetry and compare the setpoints."""
    from vpp.bootstrap.replay import run_replay
    from vpp.config import Settings

    raise typer.Exit(run_replay(Settings.load(config, data_dir=data_dir), last=last, as_json=json))


@keys.command("issue")
def keys_issue(
    *,
    stations: StationList,
    table: KeyTableFile,
    out: Annotated[Path, typer.Option(help="file for the new keys, CSV of station and key; must not exist")],
    renew: Annotated[bool, typer.Option(help="also replace the keys of stations that have one")] = False,
) -> None:
    """Make a random key for every station of a list that has none, and keep its hash."""
    from vpp.bootstrap.keys import issue_keys

    issue_keys(stations, table, out, renew=renew)


@keys.command("revoke")
def keys_revoke(*, stations: StationList, table: KeyTableFile) -> None:
    """Revoke the keys of a list of stations; their next connection is refused."""
    from vpp.bootstrap.keys import revoke_keys

    revoke_keys(stations, table)


@modbus_map.command("template")
def modbus_map_template() -> None:
    """Print an example map whose comments explain every field, to begin a map of your own with."""
    from vpp.bootstrap.register_maps import map_template

    typer.echo(map_template(), nl=False)


@modbus_map.command("check")
def modbus_map_check(
    *,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="the map, NAME.toml")],
    device: Annotated[str | None, typer.Option(help="HOST:PORT/UNIT of a device to read every point from")] = None,
) -> None:
    """Check a register map and, given a device, show what each of its points reads there; nothing is written.

    Exits 0 only if every point can be used. Example: vpp modbus-map check acme.toml --device 10.0.0.7:502/3
    """
    from vpp.bootstrap.register_maps import check_map

    findings, usable = check_map(file, device)
    typer.echo(findings)
    raise typer.Exit(0 if usable else 1)


@app.command("check-config")
def check_config(
    *,
    config: ConfigFile = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="print meaning, unit, range and default of every setting instead")
    ] = False,
) -> None:
    """Validate the settings and print them, with secrets hidden."""
    from vpp.config import Settings

    shown = Settings.described() if describe else Settings.load(config).shown()
    for name, value in shown.items():
        typer.echo(f"{name}: {value}" if describe else f"{name} = {value}")


@app.command()
def openapi() -> None:
    """Print the API's OpenAPI description as JSON."""
    from vpp.bootstrap.grid_links import openapi_json

    typer.echo(openapi_json())


def main() -> None:
    """Run the command line; a wrong argument, setting or file is one clear line and exit code 2, Ctrl-C is 130."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        message = error.format_message()
        # A command group without a command explains itself instead.
        typer.echo(message if message.startswith("Usage:") else f"vpp: {message}; try --help", err=True)
        sys.exit(2)
    except (VppError, OSError) as error:
        typer.echo(f"vpp: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
