"""The metrics as OpenTelemetry's collectors take them: an ExportMetricsServiceRequest of OTLP 1.
Pure; imported only where metrics are pushed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pilotlight_queue_proxy.metrics import BUCKETS_S, Durations
from pilotlight_queue_proxy.protobuf import (
    double,
    fixed64,
    message,
    number,
    packed_doubles,
    packed_fixed64,
    text,
)

if TYPE_CHECKING:
    from pilotlight_queue_proxy.metrics import Metrics
    from pilotlight_queue_proxy.settings import Identity

_CUMULATIVE = 2
_SCOPE = "pilotlight.queue-proxy"

Attributes = Mapping[str, str | int]
Series = list[tuple[Attributes, Durations]]


class Span(NamedTuple):
    """What figures are about, in nanoseconds since 1970."""

    began: int
    now: int


def encode_metrics(metrics: Metrics, identity: Identity, span: Span) -> bytes:
    """Everything that is counted, since the start of the process."""
    invocations: Series = [
        ({"http.response.status_code": status}, series)
        for status, series in metrics.invocations.items()
    ]
    requests: Series = [
        ({"http.response.status_code": status, "kn.route.tag": tag}, series)
        for (status, tag), series in metrics.requests.items()
    ]
    busy = [({"reason": reason}, count) for reason, count in metrics.busy.items()]
    return message(
        1,
        message(1, *(attribute(1, *pair) for pair in resource(identity).items())),
        message(
            2,
            message(1, text(1, _SCOPE)),
            _gauge("kn.serving.queue.depth", "{request}", metrics.depth(), span),
            _histogram("kn.serving.invocation.duration", invocations, span),
            _histogram("http.client.request.duration", invocations, span),
            _histogram("http.server.request.duration", requests, span),
            _counter("pilotlight.queue_proxy.busy_answers", busy, span),
        ),
    )


def resource(who: Identity) -> Attributes:
    """Who speaks, by OpenTelemetry's and Knative's names; what is not known is left out."""
    given = {
        "service.name": who.service or who.configuration or who.revision,
        "service.instance.id": who.pod,
        "k8s.namespace.name": who.namespace,
        "k8s.pod.name": who.pod,
        "k8s.container.name": "queue-proxy",
        "kn.service.name": who.service,
        "kn.configuration.name": who.configuration,
        "kn.revision.name": who.revision,
    }
    return {key: value for key, value in given.items() if value}


def _gauge(name: str, unit: str, value: int, span: Span) -> bytes:
    point = message(1, fixed64(3, span.now), fixed64(6, value))
    return message(2, text(1, name), text(3, unit), message(5, point))


def _counter(name: str, series: Iterable[tuple[Attributes, int]], span: Span) -> bytes:
    points = [
        message(1, *_times(span), fixed64(6, count), *_attributes(7, attributes))
        for attributes, count in series
    ]
    total = message(7, *points, number(2, _CUMULATIVE), number(3, 1))
    return message(2, text(1, name), text(3, "{request}"), total)


def _histogram(name: str, series: Series, span: Span) -> bytes:
    points = [
        message(
            1,
            *_times(span),
            fixed64(4, sum(durations.counts)),
            double(5, durations.total),
            packed_fixed64(6, durations.counts),
            packed_doubles(7, BUCKETS_S),
            *_attributes(9, attributes),
        )
        for attributes, durations in series
    ]
    return message(2, text(1, name), text(3, "s"), message(9, *points, number(2, _CUMULATIVE)))


def _times(span: Span) -> tuple[bytes, bytes]:
    return fixed64(2, span.began), fixed64(3, span.now)


def _attributes(field: int, attributes: Attributes) -> list[bytes]:
    return [attribute(field, key, value) for key, value in attributes.items()]


def attribute(field: int, key: str, value: str | int) -> bytes:
    given = text(1, value) if isinstance(value, str) else number(3, value)
    return message(field, text(1, key), message(2, given))
