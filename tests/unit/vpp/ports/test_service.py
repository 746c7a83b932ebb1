"""Ports of the edge: every method takes the caller's scope, and none has a default for it."""

import inspect

import pytest

from vpp.application.service_facade import VirtualPowerPlant
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.ports import service as ports

WITHOUT = {("ServiceStatus", "ready"): "names checks of the process: no member, request or result shows in it"}
"""Methods that take no scope, and why."""
PORTS = [port for _, port in inspect.getmembers(ports, inspect.isclass) if port.__module__ == ports.__name__]
METHODS = [
    (port.__name__, name)
    for port in PORTS
    for name, member in vars(port).items()
    if inspect.isfunction(member) and not name.startswith("_")
]


@pytest.mark.parametrize(("port", "name"), METHODS, ids=lambda part: part)
def test_every_method_takes_a_scope_that_its_caller_must_name(port: str, name: str) -> None:
    if (port, name) in WITHOUT:
        return
    parameter = inspect.signature(getattr(getattr(ports, port), name)).parameters.get("scope")
    assert parameter is not None, f"{port}.{name} takes no scope"
    assert (parameter.annotation, parameter.kind, parameter.default) == (
        Scope,
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.empty,
    )


def test_exceptions_are_methods_there_are() -> None:
    assert WITHOUT.keys() <= set(METHODS)


def test_the_composition_itself_sees_everything() -> None:
    for port, name in METHODS:
        if (port, name) not in WITHOUT and hasattr(VirtualPowerPlant, name):
            assert inspect.signature(getattr(VirtualPowerPlant, name)).parameters["scope"].default is EVERYTHING


def test_the_walk_meets_every_part_of_both_sums() -> None:
    parts = {part for port in (ports.GridSink, ports.Administration) for part in port.__mro__}
    assert {part.__name__ for part in parts if part.__module__ == ports.__name__} <= {port.__name__ for port in PORTS}
    assert ("RequestHandling", "submit") in METHODS
