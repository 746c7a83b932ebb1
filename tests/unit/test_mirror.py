"""Every unit test file lies where its module lies and bears its name."""

from pathlib import Path

import pytest

from tests.places import ROOT

UNIT = ROOT / "tests" / "unit"
EXCEPTIONS = {
    "deploy/test_compose.py": "the compose file is no module",
    "deploy/test_rules.py": "alert rules and dashboards are no modules",
    "docs/test_links.py": "documents are no modules",
    "optimizer/test_hostile.py": "one table of hostile problems for validation, solver and wire",
    "test_mirror.py": "about the tests themselves",
    "test_pure_parameters.py": "about all pure functions of settlement and planning",
    "vpp/api/test_contract.py": "about all routes at once, drawn from their description",
    "vpp/storage/test_failing.py": "one failing database for every store that writes to it",
}
FILES = sorted(path.relative_to(UNIT).as_posix() for path in UNIT.rglob("test_*.py"))


def module_of(file: str) -> Path:
    """Return the path of the module or package a unit test is named after, without a suffix."""
    path = Path(file)
    return ROOT / path.parent / path.stem.removeprefix("test_")


@pytest.mark.parametrize("file", [file for file in FILES if file not in EXCEPTIONS])
def test_a_unit_test_is_named_after_a_module_at_the_same_place(file: str) -> None:
    module = module_of(file)
    assert module.with_name(f"{module.name}.py").is_file() or (module / "__init__.py").is_file(), (
        f"tests/unit/{file} names neither {module.relative_to(ROOT)}.py nor a package: rename or move it, "
        "or split it by the modules it tests"
    )


@pytest.mark.parametrize("file", EXCEPTIONS)
def test_an_exception_is_still_there_and_still_one(file: str) -> None:
    assert file in FILES
    module = module_of(file)
    assert not module.with_name(f"{module.name}.py").exists(), f"{file} mirrors a module now"
