"""The containers of a pod, as far as a Revision may have them."""

from __future__ import annotations

from typing import Annotated

from pilotlight.api.model import (
    ATOMIC,
    ATOMIC_MAP,
    Anything,
    Int32,
    Int64,
    IntOrString,
    Model,
    Quantity,
    defaulted,
    gated,
    list_map,
    optional,
    required,
)

_FIELDREF = "kubernetes.podspec-fieldref"
_ATOMIC_ANYTHING = Annotated[Anything, ATOMIC_MAP]


class ConfigMapKeySelector(Model):
    """A key of a ConfigMap."""

    key: str = required("The key.")
    name: str = defaulted("", "Name of the ConfigMap.")
    may_be_absent: bool | None = optional("Whether it may be missing.", alias="optional")


class SecretKeySelector(Model):
    """A key of a Secret."""

    key: str = required("The key.")
    name: str = defaulted("", "Name of the Secret.")
    may_be_absent: bool | None = optional("Whether it may be missing.", alias="optional")


class EnvVarSource(Model):
    """Where the value of a variable comes from: exactly one of the fields."""

    config_map_key_ref: Annotated[ConfigMapKeySelector, ATOMIC_MAP] | None = optional(
        "A key of a ConfigMap."
    )
    secret_key_ref: Annotated[SecretKeySelector, ATOMIC_MAP] | None = optional("A key of a Secret.")
    field_ref: _ATOMIC_ANYTHING | None = gated(_FIELDREF)
    resource_field_ref: _ATOMIC_ANYTHING | None = gated(_FIELDREF)


class EnvVar(Model):
    """An environment variable."""

    name: str = required("Name of the variable.")
    value: str | None = optional("The value; $(NAME) stands for another variable.")
    value_from: EnvVarSource | None = optional("Where the value comes from, in place of `value`.")


class EnvSource(Model):
    """A ConfigMap or Secret, each key of which becomes a variable."""

    name: str = defaulted("", "Name of the ConfigMap or Secret.")
    may_be_absent: bool | None = optional("Whether it may be missing.", alias="optional")


class EnvFromSource(Model):
    """Many variables at once: exactly one of the references."""

    prefix: str | None = optional("Put before each name.")
    config_map_ref: Annotated[EnvSource, ATOMIC_MAP] | None = optional("A ConfigMap.")
    secret_ref: Annotated[EnvSource, ATOMIC_MAP] | None = optional("A Secret.")


class ContainerPort(Model):
    """The port on which the container takes requests."""

    container_port: Int32 | None = optional(
        "The port; left out, 8080. The program finds it in PORT."
    )
    name: str | None = optional("`h2c` for HTTP/2 without TLS; `http1` or nothing for HTTP/1.")
    protocol: str = defaulted("TCP", "TCP.")


class ExecAction(Model):
    """A command in the container; exit code 0 is success."""

    command: Annotated[list[str], ATOMIC] | None = optional("The command and its arguments.")


class HTTPHeader(Model):
    """A header of a probe."""

    name: str = required("Name of the header.")
    value: str = required("Value of the header.")


class HTTPGetAction(Model):
    """An HTTP GET; a status from 200 to 399 is success."""

    host: str | None = optional("Host to connect to; left out, the pod.")
    http_headers: Annotated[list[HTTPHeader], ATOMIC] | None = optional("Headers to send.")
    path: str | None = optional("Path to ask for.")
    port: IntOrString | None = optional("The port; left out, the container's.")
    scheme: str | None = optional("HTTP or HTTPS; left out, HTTP.")


class TCPSocketAction(Model):
    """A TCP connection; being accepted is success."""

    host: str | None = optional("Host to connect to; left out, the pod.")
    port: IntOrString | None = optional("The port; left out, the container's.")


class GRPCAction(Model):
    """A gRPC health check."""

    port: Int32 | None = optional("The port; left out, the container's.")
    service: str = defaulted("", "Service to ask for.")


class Probe(Model):
    """How to find out about a container: exactly one of exec, grpc, httpGet, tcpSocket."""

    exec: ExecAction | None = optional("A command in the container.")
    grpc: GRPCAction | None = optional("A gRPC health check.")
    http_get: HTTPGetAction | None = optional("An HTTP request.")
    tcp_socket: TCPSocketAction | None = optional("A TCP connection.")
    initial_delay_seconds: Int32 | None = optional("Seconds before the first probe.")
    timeout_seconds: Int32 | None = optional("Seconds until a probe counts as failed.")
    period_seconds: Int32 | None = optional(
        "Seconds between probes; 0, for readiness, means as often as it takes."
    )
    success_threshold: Int32 | None = optional("Successes in a row that count.")
    failure_threshold: Int32 | None = optional("Failures in a row that count.")


class ResourceRequirements(Model):
    """What a container needs of a node, and the most that it may take."""

    limits: dict[str, Quantity] | None = optional("The most it may take.")
    requests: dict[str, Quantity] | None = optional("What is kept for it.")


class Capabilities(Model):
    """POSIX capabilities."""

    add: Annotated[list[str], ATOMIC] | None = gated("kubernetes.containerspec-addcapabilities")
    drop: Annotated[list[str], ATOMIC] | None = optional("Capabilities to take away.")


class SeccompProfile(Model):
    """Which system calls are allowed."""

    type: str = required("Localhost, RuntimeDefault or Unconfined.")
    localhost_profile: str | None = optional("File of the profile on the node, for Localhost.")


class SecurityContext(Model):
    """How far a container is trusted."""

    allow_privilege_escalation: bool | None = optional("Whether it may gain more rights.")
    capabilities: Capabilities | None = optional("Capabilities to add and to drop.")
    privileged: bool | None = optional("Only false is allowed.")
    read_only_root_filesystem: bool | None = optional("Whether its root is read-only.")
    run_as_group: Int64 | None = optional("Group ID of the program.")
    run_as_non_root: bool | None = optional("Whether it must not be root.")
    run_as_user: Int64 | None = optional("User ID of the program.")
    seccomp_profile: SeccompProfile | None = optional("Which system calls are allowed.")


class VolumeMount(Model):
    """A volume at a path."""

    name: str = required("Name of the volume.")
    mount_path: str = required("Where the volume is.")
    read_only: bool | None = optional("Whether it is read-only; always so but for some volumes.")
    sub_path: str | None = optional("Path inside the volume that is mounted.")
    mount_propagation: str | None = gated("kubernetes.podspec-volumes-mount-propagation")


class Container(Model):
    """A program in a pod."""

    name: str | None = optional("Name; left out, one is given.")
    image: str | None = optional("The image to run.")
    image_pull_policy: str | None = optional("Always, IfNotPresent or Never.")
    command: Annotated[list[str], ATOMIC] | None = optional("Command, in place of the image's.")
    args: Annotated[list[str], ATOMIC] | None = optional("Arguments, in place of the image's.")
    working_dir: str | None = optional("Directory to start in.")
    env: Annotated[list[EnvVar], list_map("name")] | None = optional("Environment variables.")
    env_from: Annotated[list[EnvFromSource], ATOMIC] | None = optional(
        "ConfigMaps and Secrets that become environment variables."
    )
    ports: list[ContainerPort] | None = optional("The port that takes requests, one in a pod.")
    resources: ResourceRequirements | None = optional("What it needs of a node.")
    liveness_probe: Probe | None = optional("When to restart it.")
    readiness_probe: Probe | None = optional("When it can take requests.")
    startup_probe: Probe | None = optional("When the other probes may begin.")
    security_context: SecurityContext | None = optional("How far it is trusted.")
    termination_message_path: str | None = optional("File that says why it ended.")
    termination_message_policy: str | None = optional("File or FallbackToLogsOnError.")
    volume_mounts: Annotated[list[VolumeMount], list_map("mountPath")] | None = optional(
        "Volumes and where they are."
    )
