"""The existence of everything the documents name: files and headings they link to, commands, settings."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer.main
from typer.core import TyperGroup

from tests.places import ROOT
from vpp.cli import app
from vpp.config import Settings

_PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
_COMMAND = re.compile(r"(?:`|\.venv/bin/|exec vpp )vpp ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")
_SETTING = re.compile(r"\bVPP_[A-Z][A-Z0-9_]*[A-Z0-9]\b")


def _named(pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    for page in _PAGES:
        for found in pattern.finditer(page.read_text(encoding="utf-8")):
            yield str(page.relative_to(ROOT)), found


def _headings(page: Path) -> set[str]:
    """Return the anchors of a page as web views make them: lower case, hyphens for blanks, no punctuation."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_pages_links_commands_and_settings_to_check() -> None:
    assert {"README.md", "CHANGELOG.md"} <= {page.name for page in _PAGES}
    for pattern, least in ((_LINK, 20), (_COMMAND, 20), (_SETTING, 20)):
        assert sum(1 for _ in _named(pattern)) >= least, pattern.pattern


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_points_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if _ELSEWHERE.match(target):
            continue
        path, _, anchor = unquote(target).partition("#")
        where = (page.parent / path).resolve() if path else page
        assert where.exists(), target
        assert not anchor or anchor in _headings(where), target


def test_every_command_exists() -> None:
    commands = typer.main.get_command(app)
    assert isinstance(commands, TyperGroup)
    for page, found in _named(_COMMAND):
        command = commands.commands.get(found[1])
        assert command is not None, f"{page}: vpp {found[1]}"
        if isinstance(command, TyperGroup):
            assert found[2] in command.commands, f"{page}: vpp {found[1]} {found[2]}"


def test_every_setting_exists() -> None:
    known = {f"VPP_{name.upper()}" for name in Settings.model_fields}
    unknown = {(page, found[0]) for page, found in _named(_SETTING) if found[0] not in known}
    assert unknown == set()
