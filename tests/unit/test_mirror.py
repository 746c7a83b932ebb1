"""Every unit test file lies where its module lies and bears its name."""

from pathlib import Path

from tests.places import ROOT

UNIT = ROOT / "tests" / "unit"
EXCEPTIONS = {
    "adapters/kit/test_toy_protocol.py": "a protocol written from the kit, as CONTRIBUTING walks through it",
    "deploy/test_compose.py": "the compose file is no module",
    "deploy/test_rules.py": "alert rules and dashboards are no modules",
    "docs/test_docstrings.py": "about the docstrings of all modules",
    "docs/test_links.py": "documents are no modules",
    "docs/test_markdown.py": "documents are no modules",
    "docs/test_structure.py": "documents are no modules",
    "optimizer/test_hostile.py": "one table of hostile problems for validation, solver and wire",
    "test_mirror.py": "about the tests themselves",
    "test_pure_parameters.py": "about all pure functions of settlement and planning",
    "test_tiers.py": "about the tests themselves",
    "vpp/api/test_contract.py": "about all routes at once, drawn from their description",
    "vpp/storage/test_failing.py": "one failing database for every store that writes to it",
}
FILES = sorted(path.relative_to(UNIT).as_posix() for path in UNIT.rglob("test_*.py"))


def module_of(file: str) -> Path:
    """Return the path of the module or package a unit test is named after, without a suffix."""
    path = Path(file)
    return ROOT / path.parent / path.stem.removeprefix("test_")


def is_mirror(file: str) -> bool:
    """Return whether a module or a package stands where the test says."""
    module = module_of(file)
    return module.with_name(f"{module.name}.py").is_file() or (module / "__init__.py").is_file()


def test_a_unit_test_is_named_after_a_module_at_the_same_place() -> None:
    assert len(FILES) > 150
    strays = [file for file in FILES if file not in EXCEPTIONS and not is_mirror(file)]
    assert strays == [], "move each to the module it tests, or split it by the modules it tests"


def test_an_exception_is_still_there_and_still_one() -> None:
    assert [file for file in EXCEPTIONS if file not in FILES or is_mirror(file)] == []
