"""The same bytes read by our parser, by h11 and by httptools."""

from __future__ import annotations

from typing import Any

import h11
import httptools

from pilotlight.http import Limits, PeerError
from pilotlight.http.body import decoder_for
from pilotlight.http.head import parse_request

Message = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]


def ours(data: bytes) -> Message | None:
    """Method, target, headers in lower case, body; None when refused or incomplete."""
    try:
        parsed = parse_request(data, Limits())
        if parsed is None:
            return None
        request, end = parsed
        body = b""
        if request.length:
            decoder = decoder_for(request.length, Limits())
            body = decoder.feed(data[end:])
            if not decoder.done:
                return None
    except PeerError:
        return None
    headers = [(field[0], field[1]) for field in request.fields]
    return request.method, request.target, headers, body


def lowered(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without what differs and means nothing: httptools keeps white space at a value's end, h11
    turns a coding into lower case."""
    return [(name, value.strip(b" \t").lower()) for name, value in headers]


def by_h11(data: bytes) -> Message | None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    body = b""
    request: Any = None
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return request.method, request.target, list(request.headers), body
            else:
                return None
    except h11.RemoteProtocolError:
        return None


class Collected:
    def __init__(self) -> None:
        self.parser: Any = None
        self.method = b""
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.in_body = False
        self.done = False

    def on_headers_complete(self) -> None:
        if not self.done:
            self.method = self.parser.get_method()
        self.in_body = True

    def on_url(self, url: bytes) -> None:
        if not self.done:
            self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_body:  # trailers come here as well
            self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        if not self.done:
            self.body += body

    def on_message_complete(self) -> None:
        self.done = True


def by_httptools(data: bytes) -> Message | None:
    collected = Collected()
    parser = collected.parser = httptools.HttpRequestParser(collected)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        if not collected.done:
            return None
    if not collected.done:
        return None
    return collected.method, collected.target, collected.headers, collected.body
