"""Programmes of demand response: the shipped one, or one of the operator's own in a TOML file."""

import tomllib
from pathlib import Path

from vpp.domain.errors import ConfigurationError, InputError
from vpp.settlement import money
from vpp.settlement.money.programme import Programme
from vpp.settlement.money.programme_table import programme_of

SHIPPED = Path(money.__file__).parent / "programmes" / "shanghai.toml"


def programme_in(path: Path | None) -> Programme:
    """Return the programme of a file, the shipped one if none is given; reads the file.

    Raises:
        ConfigurationError: The file cannot be read, or a value in it is not accepted; field and value are named.
    """
    place = SHIPPED if path is None else path
    try:
        return programme_of(tomllib.loads(place.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, InputError) as error:
        raise ConfigurationError(f"VPP_PROGRAMME {place}: {error}") from error
