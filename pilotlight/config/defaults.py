"""ConfigMap `config-defaults`: what a revision gets that says nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pilotlight.config.go_values import ConfigError, Keys
from pilotlight.config.templates import check_template, render_template

_ENABLE_SERVICE_LINKS: Final[dict[str, bool | None]] = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Defaults:
    """Defaults and limits of revisions. Quantities are spelled as in Kubernetes."""

    revision_timeout_s: int = 300
    max_revision_timeout_s: int = 600
    revision_response_start_timeout_s: int = 300
    revision_idle_timeout_s: int = 0
    """0 is none."""
    revision_cpu_request: str | None = None
    revision_cpu_limit: str | None = None
    revision_memory_request: str | None = None
    revision_memory_limit: str | None = None
    revision_ephemeral_storage_request: str | None = None
    revision_ephemeral_storage_limit: str | None = None
    container_name_template: str = "user-container"
    """A Go template over the metadata of the object that holds the revision's template."""
    init_container_name_template: str = "init-container"
    container_concurrency: int = 0
    """0 is unlimited."""
    container_concurrency_max_limit: int = 1000
    allow_container_concurrency_zero: bool = True
    enable_service_links: bool | None = False
    """None leaves the choice to Kubernetes."""

    def container_name(self, name: str, namespace: str) -> str:
        """The name of a container in a template held by the object of that name."""
        return render_template(self.container_name_template, {"Name": name, "Namespace": namespace})

    def init_container_name(self, name: str, namespace: str) -> str:
        return render_template(
            self.init_container_name_template, {"Name": name, "Namespace": namespace}
        )


def parse(data: Mapping[str, str]) -> Defaults:
    """Read the ConfigMap's data. Raises ConfigError."""
    keys = Keys(data)
    timeout = keys.integer(300, "revision-timeout-seconds")
    config = Defaults(
        revision_timeout_s=timeout,
        max_revision_timeout_s=keys.integer(600, "max-revision-timeout-seconds"),
        revision_response_start_timeout_s=keys.integer(
            timeout, "revision-response-start-timeout-seconds"
        ),
        revision_idle_timeout_s=keys.integer(0, "revision-idle-timeout-seconds"),
        revision_cpu_request=keys.quantity(None, "revision-cpu-request"),
        revision_cpu_limit=keys.quantity(None, "revision-cpu-limit"),
        revision_memory_request=keys.quantity(None, "revision-memory-request"),
        revision_memory_limit=keys.quantity(None, "revision-memory-limit"),
        revision_ephemeral_storage_request=keys.quantity(
            None, "revision-ephemeral-storage-request"
        ),
        revision_ephemeral_storage_limit=keys.quantity(None, "revision-ephemeral-storage-limit"),
        container_name_template=_name_template(keys, "container-name-template", "user-container"),
        init_container_name_template=_name_template(
            keys, "init-container-name-template", "init-container"
        ),
        container_concurrency=keys.integer(0, "container-concurrency"),
        container_concurrency_max_limit=keys.integer(1000, "container-concurrency-max-limit"),
        allow_container_concurrency_zero=keys.boolean(True, "allow-container-concurrency-zero"),
        enable_service_links=_service_links(keys),
    )
    _check(config, data)
    return config


def _name_template(keys: Keys, key: str, default: str) -> str:
    template = keys.text(key) or default
    try:
        check_template(template, ("Name", "Namespace"))
    except ValueError as error:
        raise ConfigError(key, template, str(error)) from error
    return template


def _service_links(keys: Keys) -> bool | None:
    text = keys.text("enable-service-links", default="false")
    return _ENABLE_SERVICE_LINKS.get(text.lower())


def _check(config: Defaults, data: Mapping[str, str]) -> None:
    timeout, most = config.revision_timeout_s, config.max_revision_timeout_s
    if timeout > most:
        _refuse(
            "revision-timeout-seconds",
            data,
            f"revision-timeout-seconds ({timeout}) cannot be greater than "
            f"max-revision-timeout-seconds ({most})",
        )
    for key, value in (
        ("revision-response-start-timeout-seconds", config.revision_response_start_timeout_s),
        ("revision-idle-timeout-seconds", config.revision_idle_timeout_s),
    ):
        if value > timeout:
            _refuse(
                key,
                data,
                f"{key} ({value}) cannot be greater than revision-timeout-seconds ({timeout})",
            )
    limit = config.container_concurrency_max_limit
    if limit < 1:
        _refuse(
            "container-concurrency-max-limit",
            data,
            f"expected container-concurrency-max-limit >= 1, was {limit}",
        )
    concurrency = config.container_concurrency
    if not 0 <= concurrency <= limit:
        _refuse(
            "container-concurrency",
            data,
            f"expected 0 <= {concurrency} <= {limit}: container-concurrency",
        )
    if concurrency == 0 and not config.allow_container_concurrency_zero:
        _refuse(
            "container-concurrency",
            data,
            f"expected 1 <= {concurrency} <= {limit}: container-concurrency",
        )


def _refuse(key: str, data: Mapping[str, str], text: str) -> None:
    raise ConfigError(key, data.get(key, ""), text, text)
