"""Bearer token of callers, and the actor in whose name they act."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

_bearer = HTTPBearer(auto_error=False, description="Needed where the service was started with a token.")

Actor = Annotated[
    str,
    Header(
        alias="X-Actor",
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9 ._:@/\-]+$",
        description="Name of the caller, recorded in the journal.",
    ),
]
OptionalActor = Annotated[
    str,
    Header(
        alias="X-Actor",
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9 ._:@/\-]+$",
        description="Name of the caller, recorded in the journal and in the history of the registry.",
    ),
]
UNNAMED = "unnamed"
"""Actor of a registration whose caller gave no name."""


def bearer(token: str | None) -> Callable[..., Awaitable[None]]:
    """Return a dependency that admits only holders of ``token``, or everybody where there is none."""

    async def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        if token is None:
            return
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
            raise HTTPException(
                401, "give the service's token as Authorization: Bearer", headers={"WWW-Authenticate": "Bearer"}
            )

    return check
