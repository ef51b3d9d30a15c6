"""A gRPC server and client of the reference implementation, without generated code: messages are
bytes. The methods are those that gRPC's own interop tests are made of.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

SERVICE: Final = "pilot.Echo"
INITIAL: Final = "x-grpc-test-echo-initial"
TRAILING: Final = "x-grpc-test-echo-trailing-bin"


class Calls:
    """What the server has seen."""

    def __init__(self) -> None:
        self.began = 0
        self.cancelled = threading.Event()
        self.produced = 0
        self.peers: set[str] = set()


class EchoHandler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Dispatches by the method's name."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        _, service, method = handler_call_details.method.split("/")
        if service != SERVICE:
            return None
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        kinds: dict[str, Any] = {
            "Unary": unary(self.unary),
            "Status": unary(self.status),
            "Sleep": unary(self.sleep),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Many": grpc.unary_stream_rpc_method_handler(self.many),
            "Chat": stream(self.chat),
        }
        return kinds.get(method)

    def _begin(self, context: grpc.ServicerContext) -> None:
        self.calls.began += 1
        self.calls.peers.add(context.peer())
        context.add_callback(self.calls.cancelled.set)
        given = dict(context.invocation_metadata())
        if INITIAL in given:
            context.send_initial_metadata(((INITIAL, given[INITIAL]),))
        if TRAILING in given:
            context.set_trailing_metadata(((TRAILING, given[TRAILING]),))

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._begin(context)
        return request

    def status(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._begin(context)
        context.set_code(grpc.StatusCode.FAILED_PRECONDITION)
        context.set_details(request.decode())
        return b""

    def sleep(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._begin(context)
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(10)
        return b""

    def sum(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        self._begin(context)
        return b"%d" % sum(len(request) for request in requests)

    def many(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._begin(context)
        for size in request.decode().split(","):
            self.calls.produced += int(size)
            yield b"y" * int(size)

    def chat(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self._begin(context)
        yield from requests


class EchoServer:
    """Listens on the loopback."""

    def __init__(self) -> None:
        self.calls = Calls()
        self._server = grpc.server(ThreadPoolExecutor(64))
        self._server.add_generic_rpc_handlers((EchoHandler(self.calls),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self, grace: float | None = 0.0) -> threading.Event:
        event: threading.Event = self._server.stop(grace)
        return event


class Client:
    """Calls through a proxy."""

    def __init__(self, port: int, host: str = "") -> None:
        options: list[tuple[str, Any]] = [("grpc.default_authority", host)] if host else []
        options.append(("grpc.use_local_subchannel_pool", 1))
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        self.unary = self._channel.unary_unary(f"/{SERVICE}/Unary")
        self.status = self._channel.unary_unary(f"/{SERVICE}/Status")
        self.sleep = self._channel.unary_unary(f"/{SERVICE}/Sleep")
        self.missing = self._channel.unary_unary(f"/{SERVICE}/Missing")
        self.sum = self._channel.stream_unary(f"/{SERVICE}/Sum")
        self.many = self._channel.unary_stream(f"/{SERVICE}/Many")
        self.chat = self._channel.stream_stream(f"/{SERVICE}/Chat")

    def close(self) -> None:
        self._channel.close()
