# syntax=docker/dockerfile:1
# One image for every process of the scheduler; a container's command says which one it is.
#   docker build --secret id=pip,src=$HOME/.config/pip/pip.conf -t scheduler .
# The secret is the build machine's own pip configuration, and may be left out where it has none.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS packages
WORKDIR /app
COPY pyproject.toml requirements.lock ./
COPY tools/bootstrap tools/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf tools/bootstrap

FROM ${PYTHON}
RUN useradd --system --uid 10001 --home-dir /var/lib/scheduler --create-home scheduler \
    && install --directory --owner=scheduler --mode=0700 /var/lib/scheduler-join
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SCHEDULER_DATA_DIR=/var/lib/scheduler
COPY --from=packages /app/.venv .venv
COPY . .
USER scheduler
RUN SECRET_KEY=for-the-build-alone python manage.py collectstatic --no-input
VOLUME /var/lib/scheduler
EXPOSE 8000
CMD ["uvicorn", "scheduler_project.asgi:application", "--host", "0.0.0.0", "--port", "8000"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["tools/healthy", "http://127.0.0.1:8000/healthz"]
