"""Heads reach a second place over the web, in order, each until it is taken."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from vpp.domain.errors import StorageError
from vpp.record.entry import Head
from vpp.record.heads import HeadKey, SignedHead
from vpp.storage.anchor.heads.head_post import HeadPost

KEY = HeadKey.random()


class Place(HTTPServer):
    """A server that keeps what it is sent, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = 204
        self.taken: list[SignedHead] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://user:secret@127.0.0.1:{self.server_port}/heads"


class _Handler(BaseHTTPRequestHandler):
    server: Place

    def do_POST(self) -> None:
        """Take a head."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.answer < 300:
            self.server.taken.append(SignedHead.of_line(body))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def place() -> Iterator[Place]:
    server = Place()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def head(sequence: int) -> SignedHead:
    return KEY.sign("fleet", Head(sequence, "a" * 64), float(sequence))


def test_every_head_is_sent_once_and_in_order(place: Place) -> None:
    post = HeadPost(place.url)
    for sequence in (1, 2, 3):
        post.add(head(sequence))
    assert (post.send(), post.send()) == (0, 0)
    assert [h.sequence for h in place.taken] == [1, 2, 3]


def test_what_is_not_taken_is_sent_again_and_told_without_the_password(place: Place) -> None:
    post = HeadPost(place.url)
    place.answer = 507
    post.add(head(1))
    with pytest.raises(StorageError, match="answers 507") as told:
        post.send()
    assert "secret" not in str(told.value)
    post.add(head(2))
    place.answer = 200
    assert post.send() == 0
    assert [h.sequence for h in place.taken] == [1, 2]


def test_a_place_that_is_away_is_told() -> None:
    post = HeadPost("http://127.0.0.1:1/heads")
    post.add(head(1))
    with pytest.raises(StorageError, match="cannot be sent"):
        post.send()
