# One image per component, on one shared runtime: Python, the libraries it links to, and no more.
#
#   docker build --target operator --tag pilotlight.dev/operator:0.1.0 .
#
# or `make images` for all four.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# For builds behind a proxy that signs with an authority of its own.
ARG PIP_CERT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY images/runtime.py images/
RUN python3 images/runtime.py /runtime
RUN python3 -m venv /venv

# What every component needs, and then what each needs besides, installed over it.
FROM build AS requirements
COPY images/install.py images/*.lock images/
RUN /venv/bin/python images/install.py queue-proxy activator autoscaler operator

FROM build AS source
COPY pilotlight pilotlight
COPY queue_proxy queue_proxy
COPY activator activator
COPY autoscaler autoscaler
COPY operator operator
COPY images/application.py images/
RUN python3 images/application.py /application

FROM scratch AS runtime
COPY --from=build /runtime /
ENV PYTHONPATH=/app:/site PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
COPY --from=requirements /layers/queue-proxy /site
COPY --from=source /application/pilotlight /app

FROM runtime AS queue-proxy
COPY --from=source /application/queue-proxy /app
ENTRYPOINT ["/usr/bin/python3", "-P", "-s", "-S", "/app/pilotlight_queue_proxy/__main__.py"]

FROM runtime AS activator
COPY --from=requirements /layers/activator /site
COPY --from=source /application/activator /app
ENTRYPOINT ["/usr/bin/python3", "-P", "-s", "-S", "/app/pilotlight_activator/__main__.py"]

FROM runtime AS autoscaler
COPY --from=requirements /layers/activator /site
COPY --from=requirements /layers/autoscaler /site
COPY --from=source /application/autoscaler /app
ENTRYPOINT ["/usr/bin/python3", "-P", "-s", "-S", "/app/pilotlight_autoscaler/__main__.py"]

FROM runtime AS operator
COPY --from=requirements /layers/activator /site
COPY --from=requirements /layers/operator /site
COPY --from=source /application/operator /app
ENTRYPOINT ["/usr/bin/python3", "-P", "-s", "-S", "/app/pilotlight_operator/__main__.py"]
