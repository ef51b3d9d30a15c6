"""Manifests as people write them wrongly, from YAML to the whole text that they are told."""

from __future__ import annotations

import pytest
import yaml

from pilotlight.api.admission import DecodeError, default, undecodable, validate, validation_failed
from tests.api.builders import context

HEAD = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello, namespace: default}
spec:
"""

BROKEN: dict[str, tuple[str, str]] = {
    "an image that cannot be": (
        """
  template:
    spec:
      containers:
        - image: "Hello World"
        """,
        "validation failed: Failed to parse image reference: "
        "spec.template.spec.containers[0].image\n"
        'image: "Hello World", error: could not parse reference: Hello World',
    ),
    "traffic that does not add up": (
        """
  template: {spec: {containers: [{image: example.com/hello}]}}
  traffic:
    - {latestRevision: true, percent: 90}
    - {revisionName: hello-00001, percent: 5, tag: old}
        """,
        "validation failed: Traffic targets sum to 95, want 100: spec.traffic",
    ),
    "scaling the wrong way round": (
        """
  template:
    metadata:
      annotations:
        autoscaling.knative.dev/min-scale: "5"
        autoscaling.knative.dev/max-scale: "2"
    spec: {containers: [{image: example.com/hello}]}
        """,
        "validation failed: max-scale=2 is less than min-scale=5: "
        "spec.template.metadata.annotations.autoscaling.knative.dev/max-scale, "
        "spec.template.metadata.annotations.autoscaling.knative.dev/min-scale",
    ),
    "a port of the sidecar and a variable of the platform": (
        """
  template:
    spec:
      containers:
        - image: example.com/hello
          ports: [{containerPort: 8012}]
          env: [{name: PORT, value: "8012"}]
        """,
        'validation failed: "PORT" is a reserved environment variable: '
        "spec.template.spec.containers[0].env[0].name\n"
        "invalid value: 8012 is a reserved port: "
        "spec.template.spec.containers[0].ports.containerPort\n"
        "8012 is a reserved port, please use a different value",
    ),
    "a timeout and a concurrency beyond their limits": (
        """
  template:
    spec:
      timeoutSeconds: 3600
      containerConcurrency: -1
      containers: [{image: example.com/hello}]
        """,
        "validation failed: expected 0 <= -1 <= 1000: spec.template.spec.containerConcurrency\n"
        "expected 0 <= 3600 <= 600: spec.template.spec.timeoutSeconds",
    ),
    "a volume that is not there, and one that nobody wants": (
        """
  template:
    spec:
      containers:
        - image: example.com/hello
          volumeMounts: [{name: data, mountPath: /dev}]
      volumes:
        - name: date
          configMap: {name: dates}
        """,
        'validation failed: mountPath "/dev" is a reserved path: '
        "spec.template.spec.containers[0].volumeMounts[0].mountPath\n"
        'volume with name "date" not mounted: spec.template.spec.volumes[0].name\n'
        "volumeMount has no matching volume: "
        "spec.template.spec.containers[0].volumeMounts[0].name",
    ),
    "two containers and nobody who takes requests": (
        """
  template:
    spec:
      containers:
        - image: example.com/hello
        - image: example.com/helper
        """,
        "validation failed: missing field(s): spec.template.spec.containers[*].ports",
    ),
    "what only a cluster's owner may": (
        """
  template:
    spec:
      hostNetwork: true
      nodeSelector: {disk: ssd}
      containers:
        - image: example.com/hello
          securityContext: {privileged: true}
        """,
        "validation failed: must not set the field(s): "
        "spec.template.spec.containers[0].securityContext.privileged, "
        "spec.template.spec.hostNetwork, spec.template.spec.nodeSelector",
    ),
    "a revision by a name of another service": (
        """
  template:
    metadata: {name: goodbye-v1}
    spec: {containers: [{image: example.com/hello}]}
        """,
        'validation failed: invalid value: "goodbye-v1" must have prefix "hello-": '
        "spec.template.metadata.name",
    ),
    "a number that is a text": (
        """
  template:
    spec:
      containerConcurrency: "10"
      containers: [{image: example.com/hello}]
        """,
        "mutation failed: cannot decode incoming new object: json: cannot unmarshal string into "
        "Go struct field Service.spec.template.spec.containerConcurrency of type int64",
    ),
    "a probe that cannot be": (
        """
  template:
    spec:
      containers:
        - image: example.com/hello
          readinessProbe:
            httpGet: {path: /, port: web}
            failureThreshold: 2
        """,
        "validation failed: failureThreshold is disallowed when periodSeconds is zero: "
        "spec.template.spec.containers[0].readinessProbe.failureThreshold\n"
        "invalid value: web: spec.template.spec.containers[0].readinessProbe.httpGet.port\n"
        "Probe port must match container port",
    ),
}


@pytest.mark.parametrize(("manifest", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_manifest_is_refused_with_the_whole_text(manifest: str, text: str) -> None:
    obj = yaml.safe_load(HEAD + manifest.strip("\n"))
    try:
        told = validation_failed(validate(default(obj, None, context()), None, context()))
    except DecodeError as error:
        told = undecodable(error)
    assert told == text
