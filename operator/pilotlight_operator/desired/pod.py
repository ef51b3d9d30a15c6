"""What a Revision says about its pod: the container that serves, its port and its protocol."""

from __future__ import annotations

from pilotlight import names
from pilotlight_operator.objects import Obj, spec_of


def containers(revision: Obj) -> list[Obj]:
    return list(spec_of(revision).get("containers") or ())


def serving_index(revision: Obj) -> int:
    """The place of the container that serves: the one with a port, or else the first."""
    for index, container in enumerate(containers(revision)):
        if container.get("ports"):
            return index
    return 0


def serving_container(revision: Obj) -> Obj:
    found: Obj = containers(revision)[serving_index(revision)]
    return found


def user_port(revision: Obj) -> int:
    ports = serving_container(revision).get("ports") or ()
    return int(ports[0]["containerPort"]) if ports else names.DEFAULT_USER_PORT


def protocol(revision: Obj) -> str:
    ports = serving_container(revision).get("ports") or ()
    return names.H2C if ports and ports[0].get("name") == names.H2C else names.HTTP1


def queue_port(revision: Obj) -> int:
    """The port on which the pod's queue-proxy takes requests."""
    return names.QUEUE_H2C_PORT if protocol(revision) == names.H2C else names.QUEUE_HTTP_PORT
