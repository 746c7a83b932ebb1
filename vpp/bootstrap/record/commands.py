"""Commands of ``vpp audit`` and ``vpp erase``; each imports what it needs only when it runs: ``--help`` is instant."""

from pathlib import Path
from typing import Annotated

import typer

audit = typer.Typer(
    help="Verify the journal and settlements, accept a restored journal, print the record of a request.",
    no_args_is_help=True,
)
erase = typer.Typer(help="Erase what names a driver or an operator; the journal still verifies.", no_args_is_help=True)
ConfigFile = Annotated[Path | None, typer.Option("--config", exists=True, dir_okay=False, help="TOML file of settings")]
DataDir = Annotated[Path | None, typer.Option(help="folder of the embedded database and of reports  [default: .vpp]")]
Json = Annotated[bool, typer.Option("--json", help="end with one JSON object on the last line of standard output")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="change nothing")]


@audit.command("verify")
def audit_verify(*, config: ConfigFile = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Verify the journal's hash chain from its first entry to its last, against the signed heads.

    Exits 0 only if the record holds.
    """
    from vpp.bootstrap.record.audit import run_audit
    from vpp.config import Settings

    raise typer.Exit(run_audit(Settings.load(config, data_dir=data_dir), as_json=json))


@audit.command("settlement")
def audit_settlement(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="id of a settled request")],
    *,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Measure a settled request again from journal and stored intervals, and name every figure that differs.

    Writes nothing; may run beside the service. Exits 0 only if every figure comes out as it was issued, bit for bit.
    """
    from vpp.bootstrap.record.settlement_audit import run_settlement_audit
    from vpp.config import Settings

    raise typer.Exit(run_settlement_audit(Settings.load(config, data_dir=data_dir), request, as_json=json))


@audit.command("accept-restore")
def audit_accept_restore(
    *,
    reason: Annotated[str, typer.Option(help="why the record is accepted, e.g. which backup was restored")],
    actor: Annotated[str | None, typer.Option(help="who decides  [default: the user of the system]")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Accept a record that does not verify as it stands, after a restore from a backup for instance.

    Writes a journal entry with the findings, and a new signed head. A running service takes it up and accepts
    commitments again.
    """
    from vpp.bootstrap.record.restore import run_accept_restore
    from vpp.config import Settings

    run_accept_restore(Settings.load(config, data_dir=data_dir), reason=reason, actor=actor)


@audit.command("request")
def audit_request(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="id of the request")],
    *,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Print the journal's entries about a request, those of the archive included, also once it was forgotten.

    Arrays, as of a baseline, are given by their shape.
    """
    from vpp.bootstrap.record.request_record import run_request_record
    from vpp.config import Settings

    raise typer.Exit(run_request_record(Settings.load(config, data_dir=data_dir), request_id, as_json=json))


@erase.command("driver")
def erase_driver(
    ids: Annotated[list[str], typer.Argument(help="ids of charging sessions, or of a station for all of its sessions")],
    *,
    dry_run: DryRun = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Erase a driver's charging sessions for ever: their names, and the samples of their charging points.

    Name a station only where it is the driver's own: all of its samples go.

    The service must not run; ``--dry-run`` says what goes and what stays, at any time.
    """
    from vpp.bootstrap.record.erasure import erase_driver, run_erase
    from vpp.config import Settings

    erased = erase_driver(Settings.load(config, data_dir=data_dir), ids, dry_run=dry_run)
    raise typer.Exit(run_erase(erased, as_json=json))


@erase.command("operator")
def erase_operator(
    operator_id: Annotated[str, typer.Argument(metavar="ID", help="id of the operator")],
    *,
    dry_run: DryRun = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Erase an operator for ever: its name, those of its sites, and the samples of its devices; settled money stays.

    The service must not run; ``--dry-run`` says what goes and what stays, at any time.
    """
    from vpp.bootstrap.record.erasure import erase_operator, run_erase
    from vpp.config import Settings

    erased = erase_operator(Settings.load(config, data_dir=data_dir), operator_id, dry_run=dry_run)
    raise typer.Exit(run_erase(erased, as_json=json))
