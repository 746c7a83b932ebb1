"""Anchor of the record composed from the settings."""

import sqlalchemy as sa

from vpp.config import Settings
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.anchor.heads.head_post import HeadPost
from vpp.storage.anchor.key_file import read_key
from vpp.storage.anchor.verification import AnchorPlace


def anchor_place(settings: Settings) -> AnchorPlace:
    """Return where the anchor of the settings' database is kept; raises ConfigurationError."""
    key, heads = settings.record_place
    return AnchorPlace(url=settings.database_url, key=key, heads=heads, archive=settings.archive_place)


def anchor_of(settings: Settings, database: sa.Engine) -> SqlAnchor:
    """Return the anchor of a database.

    Raises:
        ConfigurationError: The key cannot be used, or lies in the data folder.
    """
    place, url = anchor_place(settings), settings.record_heads_url
    read_key(place.key)  # a key that cannot be used is refused before anything starts
    return SqlAnchor(database, place, None if url is None else HeadPost(url))
