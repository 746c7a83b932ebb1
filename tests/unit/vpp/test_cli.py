"""The command line, in process."""

from typer.testing import CliRunner

from vpp.cli import app
from vpp.config import Settings


def test_check_config_describes_every_setting() -> None:
    shown = CliRunner().invoke(app, ["check-config", "--describe"])
    assert shown.exit_code == 0
    assert [line.split(":")[0] for line in shown.stdout.splitlines()] == list(Settings.described())
