"""A small program on the standard library, with the answers and the environment of server.c."""

import os
import signal
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

ANSWER = b"Hello, World!"
LONGEST_SLEEP_S = 60.0


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/sleep":
            seconds = float(parse_qs(url.query)["ms"][0]) / 1000
            time.sleep(min(max(seconds, 0.0), LONGEST_SLEEP_S))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # http.server's own would look this machine's name up


def announce(given: str) -> None:
    address, _, word = given.partition("/")
    host, _, port = address.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.sendto(word.encode(), (host, int(port)))


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Server(("", int(os.environ.get("PORT", "8080"))), App)
    if "BENCH_ANNOUNCE" in os.environ:
        announce(os.environ["BENCH_ANNOUNCE"])
    server.serve_forever()


if __name__ == "__main__":
    main()
