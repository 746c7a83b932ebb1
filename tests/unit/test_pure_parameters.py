"""Every parameter with a default of the pure functions of settlement, planning and forecasts is fed by the composition.

A rule that exists, is tested, and is never told what it needs is worse than none: holidays and event days were such.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.places import ROOT

_PURE = ("vpp/settlement", "vpp/planning", "forecasts")
_LABORATORY = ("vpp/lab/bench", "vpp/lab/twin")
"""Benchmarks and the simulated world pass what suits them; that feeds nothing in the service."""

_ONE_POLICY = "quotes and plans take the same default; there is no setting for it yet"
_THROUGH_CACHE = "the service declares and quotes through the QuoteCache, which holds policy and prices"
_REFERENCE = "the estimate with quantiles; the service takes the seasonal profile, which a test holds equal to it"
ALLOWED = {
    ("vpp.planning.quote.capability.capability", "policy"): _THROUGH_CACHE,
    ("vpp.planning.quote.capability.declare", "sustains_h"): "the lengths of hold a declaration has are the market's",
    ("vpp.planning.quote.capability.flexibility", "policy"): _THROUGH_CACHE,
    ("vpp.planning.quote.capability.flexibility", "sustain_h"): _THROUGH_CACHE,
    ("vpp.planning.schedule.identical_batteries.joined", "cohort_size"): "how many are a cohort is measured, not set",
    ("vpp.planning.forecast.load_forecast.forecast", "count"): "the horizon is two days everywhere",
    ("vpp.planning.quote.quote.quote", "policy"): _THROUGH_CACHE,
    ("vpp.planning.quote.quote.quote", "prices"): _THROUGH_CACHE,
    ("vpp.planning.schedule.redispatch.band_of", "bounded"): "the whole horizon is bounded",
    ("vpp.planning.schedule.redispatch.to_redispatch_problem", "flexibility"): _ONE_POLICY,
    ("vpp.planning.schedule.redispatch.to_redispatch_problem", "prices"): _ONE_POLICY,
    ("forecasts.seasonal_profile.seasonal_profile", "recent_steps"): "two hours decide the level, as in baselines",
    ("forecasts.seasonal.seasonal", "group"): _REFERENCE,
    ("forecasts.seasonal.seasonal", "usable"): _REFERENCE,
    ("forecasts.seasonal.seasonal", "recent_steps"): _REFERENCE,
}
"""Parameters that the service leaves at their default on purpose, each with the reason."""

_WRAPPERS = ("partial", "to_thread")
"""They call their first argument with the others."""

Calls = dict[str, list[tuple[int, frozenset[str]]]]
"""Of every name that is called: number of positional arguments and names of the others, call by call."""


def _modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _called(node: ast.Call, alias: dict[str, str]) -> tuple[str, int, frozenset[str]]:
    """Return what is called and with what; a partial calls what it wraps."""
    name, arguments = _name(node.func), node.args
    if name in _WRAPPERS and arguments:
        name, arguments = _name(arguments[0]), arguments[1:]
    starred = any(isinstance(argument, ast.Starred) for argument in arguments)
    keywords = frozenset(keyword.arg or "**" for keyword in node.keywords)
    return alias.get(name, name), 99 if starred else len(arguments), keywords


@cache
def _calls() -> Calls:
    found: Calls = defaultdict(list)
    laboratory = set(_modules(*_LABORATORY))
    for path in _modules("vpp"):
        if path in laboratory:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = (name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names)
        alias = {name.asname: name.name for name in imports if name.asname}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name, count, keywords = _called(node, alias)
                found[name].append((count, keywords))
    return found


def _optional() -> Iterator[tuple[str, str, str, int]]:
    """Yield module, function, parameter and its position (-1 for a keyword only) of every parameter with a default."""
    for path in _modules(*_PURE):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            plain = [*node.args.posonlyargs, *node.args.args]
            first = len(plain) - len(node.args.defaults)
            for position, argument in enumerate(plain[first:], first):
                yield module, node.name, argument.arg, position
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                if default is not None:
                    yield module, node.name, argument.arg, -1


def _unfed() -> set[tuple[str, str]]:
    calls = _calls()
    return {
        (f"{module}.{function}", parameter)
        for module, function, parameter, position in _optional()
        if not any(
            parameter in keywords or "**" in keywords or 0 <= position < count for count, keywords in calls[function]
        )
    }


def test_every_rule_is_told_what_it_needs() -> None:
    assert _unfed() - set(ALLOWED) == set()


def test_no_exception_outlives_its_reason() -> None:
    assert set(ALLOWED) - _unfed() == set()
    assert all(ALLOWED.values())


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        ("vpp.settlement.baselines.baseline.compute_baseline", "event_days"),
        ("vpp.settlement.baselines.baseline.compute_baseline", "calendar"),
        ("vpp.planning.forecast.load_forecast.forecast", "calendar"),
    ],
)
def test_the_parameters_that_were_once_forgotten_are_among_those_looked_at(function: str, parameter: str) -> None:
    looked_at = {(f"{module}.{name}", argument) for module, name, argument, _ in _optional()}
    assert (function, parameter) in looked_at
