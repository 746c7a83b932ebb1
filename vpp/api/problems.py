"""Errors as problem details (RFC 9457): the fault, the field, and the values it accepts."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vpp.api.schemas.base import FieldError, Problem, json_bytes, shown
from vpp.domain.errors import (
    ConflictError,
    ForgottenError,
    InputError,
    RetryError,
    SkipError,
    UnknownIdError,
    VersionError,
)

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 100
_MESSAGE_PREFIXES = ("Value error, ", "Input should be ")
_ACCEPTED = {
    "missing": "a value: this field is required",
    "extra_forbidden": "only fields this route knows",
    "json_invalid": "valid JSON",
}
_REFUSALS: Sequence[tuple[type[SkipError], tuple[int, str, str]]] = (
    (ForgottenError, (410, "gone", "Not kept any more")),
    (VersionError, (412, "precondition-failed", "Another version stands")),
    (ConflictError, (409, "conflict", "Not possible in this state")),
    (SkipError, (422, "invalid-input", "Not accepted")),
)
"""Status, kind and title of the answer to a refusal that names no field; the first that fits."""
__all__ = ["RejectedFieldsError", "documented", "field_errors", "install", "problem_of", "shown"]
_log = structlog.get_logger(__name__)


class RejectedFieldsError(SkipError):
    """Several fields or rows of one body are not accepted; nothing of it was stored.

    Args:
        errors: What is wrong, in the order of the body.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(_sentence(errors))
        self.errors = list(errors[:MAX_ERRORS])


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI responses for these error statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def problem_of(error: Exception) -> Response:
    """Return the answer to an error; one that no caller can mend is not explained."""
    match error:
        case SkipError():
            return _refusal(error)
        case RequestValidationError():
            return _refusal(RejectedFieldsError(field_errors(error.errors())))
        case RetryError():
            return _problem(503, "try-again", "Not possible just now", str(error))
        case HTTPException():
            return _http_problem(error)
        case _:
            return _problem(500, "internal", "Something went wrong on our side", "The error has been logged.")


def field_errors(errors: Sequence[ErrorDetails | Mapping[str, Any]], *, row: int | None = None) -> list[FieldError]:
    """Return pydantic's findings as field errors."""
    return [
        FieldError(row=row, field=_field(error["loc"], row), value=_given(error), accepted=_accepted(error))
        for error in errors
    ]


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error with problem details."""
    for kind in (SkipError, RetryError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)
    app.add_middleware(LastResort)


class LastResort:
    """Answers an unexpected error with status 500; its details go to the log, not to the caller."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            _log.exception("request failed", method=scope["method"], path=scope["path"])
            if started:
                raise
            await problem_of(error)(scope, receive, send)


async def _handle(_request: Request, error: Exception) -> Response:
    return problem_of(error)


def _refusal(error: SkipError) -> Response:
    match error:
        case RejectedFieldsError():
            return _problem(422, "invalid-input", "Some fields are not accepted", str(error), errors=error.errors)
        case InputError():
            fields = [FieldError(field=error.field, value=shown(error.value), accepted=error.accepted)]
            return _problem(422, "invalid-input", "A field is not accepted", str(error), errors=fields)
        case UnknownIdError() if not isinstance(error, ForgottenError):
            return _problem(404, "unknown-id", f"No such {error.kind}", str(error))
        case _:
            answer = next(answer for kind, answer in _REFUSALS if isinstance(error, kind))
            return _problem(*answer, str(error))


def _problem(
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    problem = Problem(
        type=f"urn:vpp:problem:{kind}", title=title, status=status, detail=_plain(detail), errors=list(errors)
    ).model_dump(mode="json", exclude_none=True)
    return Response(json_bytes(problem), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def _plain(text: str) -> str:
    """Return a text that can be encoded, whatever a caller sent as a name."""
    return text.encode("utf-8", "replace").decode()


def _http_problem(error: HTTPException) -> Response:
    phrase = HTTPStatus(error.status_code).phrase
    kind = phrase.lower().replace(" ", "-").replace("'", "")
    return _problem(error.status_code, kind, phrase, str(error.detail), headers=error.headers)


def _sentence(errors: Sequence[FieldError]) -> str:
    first = errors[0]
    where = first.field if first.row is None else f"row {first.row}, {first.field}"
    more = f"; and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{where}: {first.value!r} is not accepted; give {first.accepted}{more}"


def _field(loc: Sequence[str | int], row: int | None) -> str:
    # Pydantic puts the place (body, query, path, header) first where FastAPI calls it, and nothing of the kind else.
    names = loc if row is not None or len(loc) <= 1 else loc[1:]
    return ".".join(str(name) for name in names) or "body"


def _given(error: ErrorDetails | Mapping[str, Any]) -> object:
    return None if error["type"] == "missing" else shown(error.get("input"))


def _accepted(error: ErrorDetails | Mapping[str, Any]) -> str:
    if error["type"] in _ACCEPTED:
        return _ACCEPTED[error["type"]]
    message = str(error["msg"])
    for prefix in _MESSAGE_PREFIXES:
        message = message.removeprefix(prefix)
    return message
