# Flink 2.2.1 with its connector to Kafka, and of tamiz what the judge's job takes. One image for the JobManager, the
# TaskManager and the submission. Built by `docker compose build`.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS connector
# Debian keeps only the newest build of a package, so a version that is pinned cannot be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends maven \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY docker/trust.sh docker/flink-connector.sha256 ./
COPY cluster/flink-pom.xml pom.xml
RUN --mount=type=secret,id=ca ./trust.sh \
    && mvn -B -q org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory=/jars \
    && sha256sum --check --strict flink-connector.sha256

FROM ${BASE} AS build
WORKDIR /build
COPY docker/flink-requirements.txt ./
# The secret `ca` is a CA bundle, for networks whose proxy has a certificate of its own; without it nothing changes.
# The home of Flink is a folder of its package; the Python jar is on the class path of every process, or the second job
# of a TaskManager does not find it.
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python -m venv /opt/venv \
    && /opt/venv/bin/pip install --disable-pip-version-check --require-hashes -r flink-requirements.txt \
    && /opt/venv/bin/pip uninstall --quiet --yes setuptools pip \
    && flink=$(/opt/venv/bin/python -c 'import pathlib, pyflink; print(pathlib.Path(pyflink.__file__).parent)') \
    && ln -s -t "$flink/lib" ../opt/flink-python-2.2.1.jar \
    && rm -r "$flink/examples" \
    && ln -s "$flink" /opt/venv/flink
COPY --from=connector /jars/ /opt/venv/flink/lib/
COPY src/tamiz /opt/tamiz/tamiz
RUN /opt/venv/bin/python -m compileall -q /opt/tamiz

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /tmp flink \
    && install -d -o 10001 -g 10001 /checkpoints /work \
    && ln -s /opt/venv/flink /opt/flink
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/tamiz /opt/tamiz
COPY docker/health.py /opt/tamiz/health.py
COPY docker/flink-conf /opt/flink-conf
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/tamiz PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    FLINK_HOME=/opt/flink FLINK_CONF_DIR=/opt/flink-conf FLINK_LOG_DIR=/tmp
WORKDIR /tmp
USER 10001
CMD ["python", "-m", "tamiz.flink.submit", "--help"]
