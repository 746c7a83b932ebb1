"""Module docstrings: one line of summary, a noun phrase that ends with a period."""

import ast
import re

from tests.places import ROOT

ROOMS = ("adapters", "forecasts", "numerics", "optimizer", "vpp")
QUESTIONS = re.compile(r"(?:How|What|When|Where|Whether|Which|Who|Whose|Why)\b")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def faults_of(source: str) -> list[str]:
    """Return what is wrong with the docstring of a module, nothing where it needs none."""
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree)
    if docstring is None:
        return ["no docstring"] if tree.body else []
    summary, *rest = docstring.splitlines()
    faults = []
    if QUESTIONS.match(summary):
        faults.append("opens with a question word")
    if not summary.endswith("."):
        faults.append("no period at the end of the first line")
    if rest and rest[0]:
        faults.append("a summary of more than one line")
    return faults


def test_summaries_of_modules_are_noun_phrases() -> None:
    assert len(MODULES) > 400
    faults = {
        path.relative_to(ROOT).as_posix(): found
        for path in MODULES
        if (found := faults_of(path.read_text(encoding="utf-8")))
    }
    assert faults == {}


def test_faults_are_found() -> None:
    assert faults_of('"""Staged release under a rebound cap."""\n') == []
    assert faults_of('"""Whose turn it is."""\n') == ["opens with a question word"]
    assert faults_of('"""A summary\nof two lines."""\n') == [
        "no period at the end of the first line",
        "a summary of more than one line",
    ]
    assert faults_of("import math\n") == ["no docstring"]
