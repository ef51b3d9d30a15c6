"""What a client needs to reach the API server: its address, its CA, a token."""

from __future__ import annotations

import base64
import json

CONTEXT = "pilotlight"


def kubeconfig(server: str, ca: bytes, token: str) -> str:
    """A kubeconfig with one context. `ca` is a certificate in PEM. The text is JSON, which is
    YAML too.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(ca).decode(),
                },
            }
        ],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [
            {
                "name": CONTEXT,
                "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default"},
            }
        ],
        "current-context": CONTEXT,
    }
    return json.dumps(document, indent=2) + "\n"
