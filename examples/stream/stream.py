"""Server-sent events: `/?n=5&ms=200` sends five of them, a fifth of a second apart."""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

MOST_EVENTS = 10_000
LONGEST_PAUSE_S = 60.0


class Stream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        count = min(int(query.get("n", ["5"])[0]), MOST_EVENTS)
        pause_s = min(float(query.get("ms", ["200"])[0]) / 1000, LONGEST_PAUSE_S)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(count):
            self.chunk(f"id: {number}\ndata: {time.time():.3f}\n\n".encode())
            if number < count - 1:
                time.sleep(pause_s)
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # http.server's own would look this machine's name up


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(("", int(os.environ.get("PORT", "8080"))), Stream).serve_forever()
