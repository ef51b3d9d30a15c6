"""Structured logs: one JSON object a line on standard error, with the keys that Knative's use."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final

_SEVERITY: Final = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARNING",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "CRITICAL",
}
_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LONGEST_FIELD: Final = 8192


class JsonFormatter(logging.Formatter):
    """Renders a record with its `extra` fields; a field is cut at 8 KiB, so that no peer can fill
    the log with one line.
    """

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "severity": _SEVERITY.get(record.levelno, record.levelname),
            "timestamp": _timestamp(record.created),
            "logger": self._component
            if record.name == "root"
            else f"{self._component}.{record.name}",
            "message": _cut(record.getMessage()),
        }
        for key, value in record.__dict__.items():
            if key not in _PLAIN:
                line[key] = _cut(value) if isinstance(value, str) else value
        if record.exc_info:
            line["stacktrace"] = _cut(self.formatException(record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(component: str, level: str = "info") -> None:
    """Send this process's logs to standard error as JSON lines.

    `level` is debug, info, warning or error; anything else raises ValueError.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r} must be one of debug, info, warning, error")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)


def _timestamp(seconds: float) -> str:
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    # Not by `datetime`, whose import would be a noticeable part of a queue-proxy's start.
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}+00:00"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_FIELD else text[:_LONGEST_FIELD] + "…"
