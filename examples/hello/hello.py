"""Answers with a greeting; `/sleep?ms=200` answers after a while, to make load that lasts.

`TARGET` is who is greeted. A number as argument is the edition, to tell two images apart.
"""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

EDITION = sys.argv[1] if len(sys.argv) > 1 else "1"
GREETING = f"Hello {os.environ.get('TARGET', 'World')}! (edition {EDITION})\n".encode()
LONGEST_SLEEP_S = 60.0


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/sleep":
            milliseconds = float(parse_qs(url.query).get("ms", ["100"])[0])
            time.sleep(min(max(milliseconds / 1000, 0.0), LONGEST_SLEEP_S))
        self.answer(GREETING)

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        print(f"{self.command} {self.path} {code}", flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # http.server's own would look this machine's name up


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(("", int(os.environ.get("PORT", "8080"))), Hello).serve_forever()
