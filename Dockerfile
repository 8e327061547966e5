# The service as an image, for GPU and CPU alike. docs/docker.md tells how to build and run it.
#
#   base ── tools ── dependencies ── package   dependencies: from the lock, 6 GB; package: this project's wheel
#     │       └───── load-test                 Locust and its users (docs/loadtest.md), without the service
#     └──── service ── with-weights            service (the default): package and dependencies, no tool that made them
#
# Behind a company's mirror, give any of these build secrets: pip.conf, uv.toml, ca-certificates. None is kept.

# By the digest of the multi-platform index.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${BASE_IMAGE} AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# KubeRay's probes run bash, wget and grep in this image. tini forwards signals and buries what Ray leaves behind.
# Debian keeps one version of a package at a time, so a pinned one stops building; the base image's digest is the pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash ca-certificates grep tini wget \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 10001 xtts \
    && useradd --uid 10001 --gid 10001 --create-home --shell /bin/bash xtts \
    && install --directory --owner=xtts --group=xtts /data /data/models /data/voices

FROM base AS tools
ENV UV_COMPILE_BYTECODE=1 UV_HTTP_TIMEOUT=300 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1
COPY requirements-build.lock /locks/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        --requirement /locks/requirements-build.lock

FROM tools AS dependencies
COPY requirements.lock /locks/
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=ca-certificates,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv --without-pip /opt/venv \
    && /opt/build/bin/uv pip install --python /opt/venv/bin/python --require-hashes --requirement /locks/requirements.lock
# VARIANT=cpu leaves out what torch loads only where there is a GPU. The CUDA libraries that torch is linked against
# stay: it does not start without them. A path that is gone fails the build, so this list cannot grow stale.
ARG VARIANT=gpu
RUN packages="$(echo /opt/venv/lib/python3.*/site-packages)"; case "${VARIANT}" in \
        gpu) ;; \
        cpu) rm --recursive "${packages}"/triton "${packages}"/torch/include "${packages}"/nvidia/*/include \
                "${packages}"/nvidia/cudnn/lib/libcudnn_*.so.9 \
                "${packages}"/nvidia/cu13/lib/libcusolverMg.so.12 "${packages}"/nvidia/cu13/lib/libnvrtc.alt.so.13 ;; \
        *) echo "VARIANT is gpu or cpu, not ${VARIANT}" >&2; exit 1 ;; \
    esac

FROM dependencies AS package
COPY LICENSE NOTICE README.md pyproject.toml /source/
COPY serve_app /source/serve_app
COPY loadtest /source/loadtest
RUN /opt/build/bin/uv build --wheel --no-build-isolation --python /opt/build/bin/python --out-dir /dist /source \
    && /opt/build/bin/uv pip install --python /opt/venv/bin/python --prefix /installed --no-deps --offline /dist/*.whl

# Users for the chart's `loadTest`: --target load-test. Of the service it has only how long a text takes to say.
FROM tools AS load-test
COPY requirements-load.lock /locks/
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=ca-certificates,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv --without-pip /opt/load \
    && /opt/build/bin/uv pip install --python /opt/load/bin/python --require-hashes \
        --requirement /locks/requirements-load.lock
COPY loadtest /srv/load-test/loadtest
COPY serve_app/__init__.py serve_app/errors.py /srv/load-test/serve_app/
COPY serve_app/text/__init__.py serve_app/text/languages.py /srv/load-test/serve_app/text/
ENV PATH=/opt/load/bin:${PATH} PYTHONPATH=/srv/load-test PYTHONUNBUFFERED=1
WORKDIR /srv/load-test
USER 10001:10001
EXPOSE 8089
ENTRYPOINT ["tini", "-s", "--"]
CMD ["locust", "-f", "loadtest/locustfile.py"]

FROM base AS service
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /installed /opt/venv
# The proxy's callback and the two switches of telemetry are what `serve` sets itself; `ray start` needs them from here.
ENV PATH=/opt/venv/bin:${PATH} \
    HOME=/home/xtts \
    PYTHONUNBUFFERED=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve_app.deployment:proxy_middlewares \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    XTTS_HOST=0.0.0.0 \
    XTTS_PORT=8100 \
    XTTS_MODEL_CACHE=/data/models \
    XTTS_VOICE_DIR=/data/voices
WORKDIR /home/xtts
USER 10001:10001
EXPOSE 8100
STOPSIGNAL SIGTERM
# Healthy once the model is loaded; the first start may fetch it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m --retries=3 \
    CMD ["bash", "-c", "wget --quiet --no-proxy --output-document=/dev/null http://127.0.0.1:${XTTS_PORT}/health/ready"]
ENTRYPOINT ["tini", "-s", "--"]
CMD ["python", "-m", "serve_app", "serve"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="xtts-serve" \
    org.opencontainers.image.description="XTTS v2 as a production service: voice-cloning text to speech" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"

# The published weights baked in, by who accepts their licence: --target with-weights --build-arg ACCEPT_CPML=1.
# Whoever runs the image accepts it again by XTTS_ACCEPT_CPML=1. The hub's token, where it needs one, is a build secret.
FROM service AS with-weights
ENV XTTS_MODEL=xtts_v2 XTTS_MODEL_CACHE=/home/xtts/models
ARG ACCEPT_CPML=0
RUN --mount=type=secret,id=hf_token,uid=10001 \
    --mount=type=secret,id=ca-certificates,target=/etc/ssl/certs/ca-certificates.crt \
    HF_TOKEN="$(cat /run/secrets/hf_token 2>/dev/null || true)" XTTS_ACCEPT_CPML="${ACCEPT_CPML}" \
    python -m serve_app download

FROM service
