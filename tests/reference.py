"""The reference instances, their exact solver and their checker, which lie beside the project."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

from tests.places import SHARED

_BENCH = SHARED / "bench"


def reference(module: str) -> ModuleType:
    """Return a module of the reference instances; skips the test where it, or what it imports, is not here."""
    if not (_BENCH / f"{module}.py").exists():
        pytest.skip("../shared/bench is not here")
    sys.path.insert(0, str(_BENCH))
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        pytest.skip(f"the reference instances need {missing.name}")
    finally:
        sys.path.remove(str(_BENCH))
