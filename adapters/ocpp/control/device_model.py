"""Device model of a 2.x station: reading and writing variables, one by one where it refuses many at once.

A station may limit how many variables one message holds (``ItemsPerMessageGetVariables``, 2.0.1 B05 and B06) and need
not say so before it is asked.
"""

from collections.abc import Generator, Sequence

from adapters.ocpp.control.scripts import REFUSED_EARLY_WALL_S, UNKNOWN_ACTIONS, Pause
from adapters.ocpp.messages.ocpp_j import Answer, AnswerKind, Call, Json

Name = tuple[str, str]
"""Component and variable."""


def ask(names: Sequence[Name], *, patient: bool = False) -> Generator[Call | Pause, Answer, dict[Name, str]]:
    """Ask for variables; return the values of those that are stated.

    ``patient``: a station that has not taken the answer to its boot yet refuses, and is asked again.
    """
    answer = yield _question(names)
    if patient and (answer.kind is AnswerKind.ERROR or _all_rejected(answer.payload)):
        yield Pause(REFUSED_EARLY_WALL_S)
        answer = yield _question(names)
    results = _results(answer, "getVariableResult")
    if _too_many(answer, names):
        for name in names:
            answer = yield _question([name])
            results += _results(answer, "getVariableResult")
    stated = (result for result in results if result["attributeStatus"] == "Accepted")
    return {_name(result): result.get("attributeValue", "") for result in stated}


def write(values: Sequence[tuple[Name, str]]) -> Generator[Call, Answer, dict[Name, str]]:
    """Set variables; return the status of each that was answered."""
    answer = yield _setting(values)
    results = _results(answer, "setVariableResult")
    if _too_many(answer, values):
        for value in values:
            answer = yield _setting([value])
            results += _results(answer, "setVariableResult")
    return {_name(result): result["attributeStatus"] for result in results}


def _question(names: Sequence[Name]) -> Call:
    return Call("GetVariables", {"getVariableData": [_variable(name) for name in names]})


def _setting(values: Sequence[tuple[Name, str]]) -> Call:
    data = [{**_variable(name), "attributeValue": value} for name, value in values]
    return Call("SetVariables", {"setVariableData": data})


def _too_many(answer: Answer, asked: Sequence[object]) -> bool:
    refused = answer.kind is AnswerKind.ERROR and answer.code not in UNKNOWN_ACTIONS
    return refused and len(asked) > 1


def _all_rejected(payload: Json) -> bool:
    results = payload.get("getVariableResult", ())
    return bool(results) and all(result["attributeStatus"] == "Rejected" for result in results)


def _results(answer: Answer, field: str) -> list[Json]:
    return list(answer.payload.get(field, ()))


def _name(result: Json) -> Name:
    return result["component"]["name"], result["variable"]["name"]


def _variable(name: Name) -> Json:
    return {"component": {"name": name[0]}, "variable": {"name": name[1]}}
