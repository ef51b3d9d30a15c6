"""A websocket that says back what it hears (RFC 6455, with the standard library alone).

Anything but a websocket's handshake gets 426 and a hint.
"""

import os
import signal
import struct
import sys
from base64 import b64encode
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LONGEST_MESSAGE = 1 << 20
TOO_BIG = struct.pack("!H", 1009)


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        key = self.headers.get("Sec-WebSocket-Key")
        if key is None or self.headers.get("Upgrade", "").lower() != "websocket":
            self.refuse()
            return
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header(
            "Sec-WebSocket-Accept", b64encode(sha1(key.encode() + GUID).digest()).decode()
        )
        self.end_headers()
        self.close_connection = True
        self.converse()

    def refuse(self) -> None:
        body = b"this speaks websocket\n"
        self.send_response(426)
        self.send_header("Upgrade", "websocket")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def converse(self) -> None:
        while (frame := self.receive()) is not None:
            opcode, final, payload = frame
            if opcode == CLOSE:
                self.send(CLOSE, payload[:2])
                return
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode in (CONTINUATION, TEXT, BINARY):
                self.send(opcode, payload, final)

    def receive(self) -> tuple[int, bool, bytes] | None:
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.rfile.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.rfile.read(8))
        if length > LONGEST_MESSAGE:
            self.send(CLOSE, TOO_BIG)
            return None
        mask = self.rfile.read(4) if head[1] & 0x80 else bytes(4)
        payload = self.rfile.read(length)
        plain = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
        return head[0] & 0x0F, bool(head[0] & 0x80), plain

    def send(self, opcode: int, payload: bytes, final: bool = True) -> None:
        first = (0x80 if final else 0) | opcode
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", first, length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", first, 126, length)
        else:
            head = struct.pack("!BBQ", first, 127, length)
        self.wfile.write(head + payload)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # http.server's own would look this machine's name up


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(("", int(os.environ.get("PORT", "8080"))), Echo).serve_forever()
