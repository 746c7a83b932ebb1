"""Lines of Markdown are short enough to read and to compare."""

import pytest

from tests.places import ROOT

MOST_COLUMNS = 120
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("tests/**/*.md")]
)


def long_lines(text: str) -> list[str]:
    """Return lines of prose beyond the bound; tables, code, images and lone links may be longer."""
    found, code = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            code = not code
        prose = not code and not line.lstrip().startswith(("|", "![", "    ")) and " " in line.strip()
        if prose and len(line) > MOST_COLUMNS:
            found.append(line)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_has_at_most_120_columns(page: object) -> None:
    assert long_lines((ROOT / str(page)).read_text(encoding="utf-8")) == []


def test_a_long_line_is_found_and_a_long_row_is_not() -> None:
    assert long_lines(f"{'word ' * 30}\n| {'cell ' * 30} |\n") == ["word " * 30]
