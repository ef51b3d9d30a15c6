"""The connection state of `h2`, as both sides need it. Pure."""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from pilotlight.http.limits import Limits

PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
"""How a connection of HTTP/2 begins: to a parser of HTTP/1.1 a head of its own."""
STREAMS = 100
"""Streams that a peer may have open on one connection; what RFC 9113 calls the least sensible."""
STREAM_WINDOW = 65535
"""Bytes of one stream that a peer may send before they are passed on."""
CONNECTION_WINDOW = 1 << 20
LAST_STREAM = 2**31 - 1


class Framing(H2Connection):
    """`h2` takes a GOAWAY, sent or received, for the end of the connection; here streams that are
    under way go on, as RFC 9113, section 6.8 has it.
    """

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]

    def go_away(self, last_stream: int, code: int = ErrorCodes.NO_ERROR) -> None:
        """Tell the peer that no stream above `last_stream` will be looked at."""
        frame = GoAwayFrame(0)
        frame.last_stream_id = last_stream
        frame.error_code = code
        self._prepare_for_sending([frame])


def framing(*, client: bool, limits: Limits) -> Framing:
    """A connection whose preface and settings are ready to be sent. Fields are checked by
    `heads`: stricter than h2 does, and at the cost of a stream, not of the connection.
    """
    connection = Framing(
        H2Configuration(
            client_side=client,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
    )
    # A head between once and twice the limit is still decoded, so that its stream can be told.
    largest = 2 * limits.head
    initial = {
        SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
        SettingCodes.MAX_HEADER_LIST_SIZE: limits.head,
    }
    if client:
        initial[SettingCodes.ENABLE_PUSH] = 0
    else:
        initial[SettingCodes.MAX_CONCURRENT_STREAMS] = STREAMS
    connection.local_settings = Settings(client=client, initial_values=initial)
    connection.decoder.max_header_list_size = largest
    connection.initiate_connection()
    connection.increment_flow_control_window(CONNECTION_WINDOW - STREAM_WINDOW)
    return connection
