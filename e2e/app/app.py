"""The program under the tests: it counts, sleeps, echoes, streams, talks through websockets, and
fails in several ways.

Every answer carries `X-Instance` (of this process), `X-Inflight` and `X-Peak` (requests at once in
it, now and at most). Environment: `NAME` (what it answers), `START_DELAY_S`, `EXIT_CODE` (it ends
with that code instead of serving), `NEVER_LISTEN`, `GOODBYE_S` (time that it takes to end),
`HOST` (the address to listen on; every one without it). Configured as Knative's queue-proxy is, it
acts as one.
"""

import json
import os
import signal
import struct
import sys
import threading
import time
from base64 import b64encode
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

NAME = os.environ.get("NAME", "app")
INSTANCE = f"{os.getpid()}-{time.time_ns():x}"
LONGEST_SLEEP_S = 120.0
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 8, 9, 10
QUEUE = "knative_queue.py"


class Gauge:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inflight = 0
        self.peak = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inflight += 1
            self.peak = max(self.peak, self.inflight)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inflight -= 1


GAUGE = Gauge()


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        with GAUGE:
            self.route()

    def do_POST(self) -> None:
        self.do_GET()

    def route(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/sleep":
            time.sleep(min(float(query["ms"][0]) / 1000, LONGEST_SLEEP_S))
            self.answer(NAME)
        elif url.path == "/stream":
            self.stream(int(query["n"][0]), float(query["ms"][0]) / 1000)
        elif url.path == "/websocket":
            self.switch()
        elif url.path == "/echo":
            self.answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())
        elif url.path == "/headers":
            self.answer(json.dumps(self.headers.items()))
        elif url.path == "/env":
            self.answer(json.dumps(dict(os.environ)))
        elif url.path == "/status":
            self.answer(NAME, int(query["code"][0]))
        elif url.path == "/exit":
            os._exit(int(query.get("code", ["1"])[0]))
        else:
            self.answer(NAME)

    def answer(self, text: str, status: int = 200) -> None:
        body = text.encode()
        self.head(status, "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, count: int, pause_s: float) -> None:
        self.head(200, "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(count):
            data = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            time.sleep(pause_s)
        self.wfile.write(b"0\r\n\r\n")

    def switch(self) -> None:
        """A websocket (RFC 6455) that says back each message until the client says goodbye."""
        key = self.headers.get("Sec-WebSocket-Key", "").encode()
        self.head(101, "")
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", b64encode(sha1(key + WEBSOCKET).digest()).decode())
        self.end_headers()
        self.close_connection = True
        opcode = 0
        while opcode != CLOSE and (frame := self.receive_frame()) is not None:
            opcode, payload = frame
            self.send_frame(PONG if opcode == PING else opcode, payload)

    def receive_frame(self) -> tuple[int, bytes] | None:
        self.wfile.flush()
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.rfile.read(2))
        mask = self.rfile.read(4)
        payload = self.rfile.read(length)
        return head[0] & 0x0F, bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))

    def send_frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, size)
        else:
            head = struct.pack("!BBH", 0x80 | opcode, 126, size)
        self.wfile.write(head + payload)

    def head(self, status: int, content_type: str) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        self.send_header("X-Instance", INSTANCE)
        self.send_header("X-Inflight", str(GAUGE.inflight))
        self.send_header("X-Peak", str(GAUGE.peak))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        print(f"{NAME} {self.command} {self.path} {code}", flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # http.server's own would look this machine's name up


def end(*_: object) -> None:
    time.sleep(float(os.environ.get("GOODBYE_S", "0")))
    sys.exit(0)


def main() -> None:
    if "QUEUE_SERVING_PORT" in os.environ:
        os.execv(sys.executable, [sys.executable, str(Path(__file__).with_name(QUEUE))])
    signal.signal(signal.SIGTERM, end)
    if "EXIT_CODE" in os.environ:
        print("this program was told to fail", file=sys.stderr, flush=True)
        sys.exit(int(os.environ["EXIT_CODE"]))
    time.sleep(float(os.environ.get("START_DELAY_S", "0")))
    if "NEVER_LISTEN" in os.environ:
        threading.Event().wait()
    address = os.environ.get("HOST", ""), int(os.environ.get("PORT", "8080"))
    Server(address, App).serve_forever()


if __name__ == "__main__":
    main()
