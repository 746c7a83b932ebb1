"""Bounds on size hold, or the exception is listed in `docs/structure.md` with its reason."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.places import ROOT

_PACKAGES = ("vpp", "adapters", "optimizer", "forecasts")
MODULE_LINES, FUNCTION_LINES, CONSTRUCTOR_PARAMETERS, FOLDER_MODULES = 400, 60, 10, 13
_FILE = re.compile(r"`((?:vpp|adapters|optimizer|forecasts|numerics|tests)/[a-z0-9_/]+\.py)`")
_ROW = re.compile(r"^\| `([^`]+)` \| [^|]+ \| (\S[^|]*) \|$", re.MULTILINE)


def _modules() -> Iterator[tuple[str, ast.Module, int]]:
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            yield path.relative_to(ROOT).as_posix(), ast.parse(source), source.count("\n")


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a body without its docstring."""
    first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
    return (function.end_lineno or 0) - first.lineno + 1


def _parameters(function: ast.FunctionDef) -> int:
    return len(function.args.args) + len(function.args.kwonlyargs) - 1


def _beyond() -> Iterator[str]:
    """Yield what exceeds a bound, as the document names it."""
    folders: Counter[str] = Counter()
    for path, tree, lines in _modules():
        if not path.endswith("__init__.py"):
            folders[str(Path(path).parent)] += 1
        if lines > MODULE_LINES:
            yield path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _body_lines(node) > FUNCTION_LINES:
                yield f"{path}: {node.name}"
            if isinstance(node, ast.ClassDef):
                inits = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
                yield from (f"{path}: {node.name}" for item in inits if _parameters(item) > CONSTRUCTOR_PARAMETERS)
    yield from (f"{folder}/" for folder, count in folders.items() if count > FOLDER_MODULES)


def test_what_exceeds_a_bound_is_listed_with_its_reason_and_nothing_else_is() -> None:
    page = (ROOT / "docs" / "structure.md").read_text(encoding="utf-8")
    listed = {name for name, reason in _ROW.findall(page) if len(reason) > len("because")}
    assert listed == set(_beyond())


def test_the_document_states_the_bounds() -> None:
    page = (ROOT / "docs" / "structure.md").read_text(encoding="utf-8")
    for bound in (MODULE_LINES, FUNCTION_LINES, CONSTRUCTOR_PARAMETERS, FOLDER_MODULES):
        assert f" {bound} " in page


def test_every_concept_is_found_in_two_steps_where_the_architecture_says() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Where to find it")[2].partition("\n## ")[0]
    steps = re.findall(r"^\| [^|`]+ \| `([^`]+)` \| `([^`]+)`", table, re.MULTILINE)
    assert len(steps) >= 16
    assert [room + module for room, module in steps if not (ROOT / room / module).is_file()] == []


def test_every_file_that_a_document_names_exists() -> None:
    pages = [path for path in (ROOT / "docs").glob("*.md") if path.name != "names.md"]
    named = {name for path in pages for name in _FILE.findall(path.read_text(encoding="utf-8"))}
    assert len(named) >= 20
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_module_that_took_another_name_is_where_the_table_says() -> None:
    page = (ROOT / "docs" / "names.md").read_text(encoding="utf-8")
    now = re.findall(r"^\| `[^`]+` \| `([^`]+)` \|$", page, re.MULTILINE)
    assert len(now) > 150
    assert [name for name in now if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []
