"""The key with which the pods of a Revision sign what they report."""

from __future__ import annotations

import base64

from pilotlight import names
from pilotlight.load.keys import revision_key
from pilotlight_operator.desired.metadata import child_metadata, revision_child_labels
from pilotlight_operator.objects import Obj, name_of, namespace_of, uid_of


def key_secret(revision: Obj, master: bytes) -> Obj:
    name, namespace = name_of(revision), namespace_of(revision)
    key = revision_key(master, namespace, name, uid_of(revision))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": child_metadata(
            revision, names.key_secret_name(name), revision_child_labels(revision), {}
        ),
        "data": {names.REVISION_KEY_FIELD: base64.b64encode(key.hex().encode()).decode()},
    }
