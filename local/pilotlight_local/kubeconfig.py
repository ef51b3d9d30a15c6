"""What a client needs to reach the API server: its address, its CA, a token."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from pilotlight_local.apiserver.accounts import account_token
from pilotlight_local.hosts import write_file

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


@dataclass(frozen=True, slots=True)
class Accounts:
    """Lets pods in as their service accounts. `token` is the owner's own."""

    directory: Path
    server: str
    ca: bytes
    token: str

    def environment(self, namespace: str, name: str) -> dict[str, str]:
        """What a program is given that speaks as this service account."""
        path = self.directory / f"{namespace}.{name}"
        token = account_token(self.token, namespace, name)
        write_file(path, kubeconfig(self.server, self.ca, token), 0o600)
        return {"KUBECONFIG": str(path)}
