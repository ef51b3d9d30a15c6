"""The fingerprint by which a gateway proves which version of an Ingress it serves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def ingress_hash(ingress: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of what decides how an Ingress is served: its namespace, its name
    and its spec. Labels, annotations, status and the order of keys make no difference."""
    metadata = ingress.get("metadata") or {}
    subject = {
        "name": metadata.get("name", ""),
        "namespace": metadata.get("namespace", ""),
        "spec": ingress.get("spec") or {},
    }
    canonical = json.dumps(subject, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
