"""Models read exact JSON and write it back as it was."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from pilotlight.api.decoding import MODELS
from pilotlight.api.ingress import Ingress
from pilotlight.api.model import Model
from pilotlight.api.serving import Revision, Service
from tests.api.builders import Obj, domain_mapping, ingress, pod_autoscaler, split

MANIFEST = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: shop
  namespace: default
  labels: {team: checkout}
  annotations: {serving.knative.dev/rollout-duration: 60s}
  managedFields: [{manager: kubectl}]
spec:
  template:
    metadata:
      name: shop-v2
      annotations: {autoscaling.knative.dev/min-scale: "1"}
      unknown: {kept: true}
    spec:
      serviceAccountName: shop
      containerConcurrency: 50
      timeoutSeconds: 120
      containers:
        - name: web
          image: example.com/shop@sha256:abc
          ports: [{name: h2c, containerPort: 8080}]
          env:
            - {name: A, value: ""}
            - name: B
              valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}
          envFrom: [{configMapRef: {name: c}}]
          resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 250m}}
          readinessProbe:
            httpGet:
              {path: /healthz, port: http, httpHeaders: [{name: X, value: "1"}]}
            periodSeconds: 0
          securityContext: {runAsUser: 0, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: all, mountPath: /all, readOnly: true}]
      initContainers: [{image: a/b, anything: [1, {goes: null}]}]
      volumes:
        - name: all
          projected:
            sources:
              - secret: {name: s, items: [{key: k, path: p, mode: 256}]}
              - downwardAPI: {items: [{path: l, fieldRef: {fieldPath: metadata.labels}}]}
      tolerations: [{key: spot, operator: Exists}]
      hostIPC: false
  traffic:
    - {latestRevision: true, percent: 90}
    - {revisionName: shop-v1, percent: 10, tag: old}
status:
  observedGeneration: 3
  url: http://shop.default.example.com
  address: {url: "http://shop.default.svc.cluster.local", CACerts: pem}
  conditions: [{type: Ready, status: "True", lastTransitionTime: "2026-01-01T00:00:00Z"}]
"""


def test_a_service_survives_reading_and_writing() -> None:
    manifest = yaml.safe_load(MANIFEST)
    assert Service.from_dict(manifest).to_dict() == manifest


@pytest.mark.parametrize("obj", [ingress(split(90), split(10)), pod_autoscaler(), domain_mapping()])
def test_internal_objects_survive_reading_and_writing(obj: Obj) -> None:
    model = MODELS[obj["apiVersion"].partition("/")[0], obj["kind"]]
    assert model.from_dict(obj).to_dict() == obj


def test_fields_have_names_of_python() -> None:
    service = Service.from_dict(yaml.safe_load(MANIFEST))
    assert service.spec is not None
    assert service.spec.template is not None
    spec = service.spec.template.spec
    assert spec is not None
    assert spec.container_concurrency == 50
    assert spec.containers[0].readiness_probe is not None
    assert spec.containers[0].readiness_probe.http_get is not None
    assert spec.containers[0].readiness_probe.http_get.port == "http"
    assert service.status is not None
    assert service.status.address is not None
    assert service.status.address.ca_certs == "pem"


def test_a_model_is_made_by_hand() -> None:
    revision = Revision.from_dict({"spec": {"containers": [{"image": "a/b"}]}})
    assert revision.spec is not None
    revision.spec.timeout_seconds = 5
    assert revision.to_dict() == {"spec": {"containers": [{"image": "a/b"}], "timeoutSeconds": 5}}


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (Service, {"spec": {"template": {"spec": {"containers": "none"}}}}),
        (Revision, {"spec": {"containers": [], "timeoutSeconds": True}}),
        (Ingress, {"spec": {"rules": [{"hosts": "a"}]}}),
    ],
)
def test_nothing_is_coerced(model: type[Model], data: Obj) -> None:
    with pytest.raises(ValidationError):
        model.from_dict(data)
