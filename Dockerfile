# The job, its set-up commands and the console in one image: `docker run breakwater COMMAND`.

FROM python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /venv
# The libraries first: they change seldom, and this layer is the large one.
COPY pyproject.toml requirements.lock ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > wanted.txt \
    && /venv/bin/pip install --only-binary :all: --requirement wanted.txt setuptools --constraint requirements.lock
COPY . .
# With the setuptools of the lock, not whichever is the newest today.
RUN /venv/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11.13-slim-bookworm
# LightGBM computes with OpenMP, which the slim image lacks.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin breakwater \
    && install --directory --owner=breakwater --group=breakwater /var/lib/breakwater
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BREAKWATER_METRICS_PORT=9464
WORKDIR /var/lib/breakwater
VOLUME /var/lib/breakwater
USER 10001:10001
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['BREAKWATER_METRICS_PORT'] + '/readyz', timeout=4)"]
ENTRYPOINT ["breakwater"]
CMD ["run"]
