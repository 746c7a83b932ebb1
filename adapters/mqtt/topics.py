"""Topic names, and resource addresses ``site/device``."""

import re
from enum import StrEnum

from vpp.domain.errors import InputError

_ROOT = "vpp/v1/sites"
_NAME = re.compile(r"[^\s/+#\x00]{1,128}")


class Leaf(StrEnum):
    """Last level of a site's topics: the kind of message."""

    TELEMETRY = "telemetry"
    COMMAND = "command"
    OUTCOME = "outcome"
    STATUS = "status"


def topic(site: str, leaf: Leaf) -> str:
    """Return the topic of one site, or of every site for ``"+"``."""
    return f"{_ROOT}/{site}/{leaf}"


def site_of(topic_name: str) -> str:
    """Return the site a topic below ours belongs to."""
    return topic_name.removeprefix(f"{_ROOT}/").partition("/")[0]


def leaf_of(topic_name: str) -> str:
    """Return the last level of a topic."""
    return topic_name.rpartition("/")[2]


def split_address(address: str) -> tuple[str, str]:
    """Return site and device of a ``Resource.address``.

    Raises:
        InputError: It is not ``site/device``, or a name could not stand in a topic.
    """
    site, _, device = address.partition("/")
    if not (_NAME.fullmatch(site) and _NAME.fullmatch(device)):
        raise InputError("address", address, "site/device, neither with blanks, '/', '+' or '#'")
    return site, device
