"""Stands in for Knative's queue-proxy: what its callers see of it. It tells nobody of its load.

It answers the probes of kubelet and activator, passes requests on to the program beside it, and
lets its pod go when a while has passed without any.
"""

import http.client
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

PROBERS = ("kube-probe/", "Knative-Activator-Probe", "Knative-Autoscaling-Probe")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade"}
TAKEN_OFF = {"knative-serving-revision", "knative-serving-namespace", "k-original-host", "host"}
QUIET_S = 2.0
"""Knative's waits for 30 s without a request; the tests are in more of a hurry."""
USER_PORT = int(os.environ.get("USER_PORT", "8080"))


class Drain:
    """Whether the pod is to go, and since when nobody has asked for anything."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._asked_at = 0.0

    def request(self) -> None:
        self._asked_at = time.monotonic()

    def wait(self) -> None:
        if not self.begun.is_set():
            self.request()
            self.begun.set()
        while (left := self._asked_at + QUIET_S - time.monotonic()) > 0:
            time.sleep(left)


DRAIN = Drain()


class Queue(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.headers.get("User-Agent", "").startswith(PROBERS):
            self.probed()
        else:
            DRAIN.request()
            self.forward()

    def do_POST(self) -> None:
        self.do_GET()

    def probed(self) -> None:
        asked = self.headers.get("K-Network-Probe", "")
        if DRAIN.begun.is_set():
            self.answer(503, b"shutting down")
        elif asked != "queue":
            self.answer(400, b"unexpected probe header value: " + asked.encode())
        elif listens():
            self.answer(200, b"queue")
        else:
            self.answer(503, b"")

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        host = self.headers.get("K-Original-Host") or self.headers["Host"]
        kept = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP | TAKEN_OFF}
        connection = http.client.HTTPConnection("127.0.0.1", USER_PORT, timeout=300)
        try:
            connection.request(self.command, self.path, body, {**kept, "Host": host})
            response = connection.getresponse()
            self.send_response_only(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            if response.getheader("Content-Length") is None:
                self.send_header("Connection", "close")
            self.end_headers()
            while part := response.read1(65536):
                self.wfile.write(part)
                self.wfile.flush()
        except OSError as error:
            self.answer(502, str(error).encode())
        finally:
            connection.close()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Admin(Queue):
    def do_GET(self) -> None:
        """The hook that keeps the program beside us alive."""
        DRAIN.wait()
        self.answer(200, b"")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def server_bind(self) -> None:
        TCPServer.server_bind(self)


def listens() -> bool:
    try:
        socket.create_connection(("127.0.0.1", USER_PORT), timeout=1).close()
    except OSError:
        return False
    return True


def main() -> None:
    address = os.environ.get("PILOTLIGHT_BIND", "")
    # Blocked in all threads: one that has it delivered would not wake the one that waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    servers = [
        Server((address, int(os.environ["QUEUE_SERVING_PORT"])), Queue),
        Server((address, 8022), Admin),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait([signal.SIGTERM])
    DRAIN.wait()


if __name__ == "__main__":
    main()
