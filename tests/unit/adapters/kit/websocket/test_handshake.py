"""The opening handshake, both ends against each other."""

from http import HTTPStatus

import pytest

from adapters.kit.websocket.handshake import accepted, is_accepted, refusal, request, retry_after_s
from adapters.kit.websocket.http_head import parse_request
from adapters.ocpp.messages.ocpp_j import Version
from vpp.domain.errors import FrameError


def test_a_request_and_its_answer_understand_each_other() -> None:
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    head = request(host="h:1", path="/ocpp/CP1", key=key, subprotocol=Version.V16).removesuffix(b"\r\n\r\n")
    parsed = parse_request(head)
    answer = accepted(parsed, Version.V16).removesuffix(b"\r\n\r\n")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # the example of RFC 6455, 1.3
    assert is_accepted(answer, key)
    assert not is_accepted(answer, b"AAAAAAAAAAAAAAAAAAAAAA==")
    busy = refusal(HTTPStatus.SERVICE_UNAVAILABLE, Retry_After="7").removesuffix(b"\r\n\r\n")
    assert retry_after_s(busy) == 7.0
    with pytest.raises(FrameError):
        parse_request(b"\x16\x03\x01 hello")
