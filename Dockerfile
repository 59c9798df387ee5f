# One image per service, holding that service and nothing else:
#
#     docker build --build-arg SERVICE=discussion -t parley-discussion .
#
# A forgotten dependency or an import of another service fails the build, not the deployment.
# Plain instructions only: it builds with BuildKit and with the builder before it.

FROM python:3.13-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /parley
# What a service may write lies here; a new volume takes over its owner.
RUN mkdir -p /var/lib/parley && chown 10001:10001 /var/lib/parley && chmod 700 /var/lib/parley

# Makes secrets, schemas and streams (docker-compose.yml: credentials, wiring).
FROM base AS deploy
COPY requirements/deploy.txt /tmp/requirements.txt
RUN pip install -q --no-cache-dir --root-user-action=ignore --no-deps --require-hashes -r /tmp/requirements.txt
COPY contracts contracts
COPY shared shared
COPY deploy deploy
RUN python -c "import deploy.credentials, deploy.wiring"
USER 10001:10001

FROM base AS service
ARG SERVICE
COPY requirements/${SERVICE}.txt /tmp/requirements.txt
RUN pip install -q --no-cache-dir --root-user-action=ignore --no-deps --require-hashes -r /tmp/requirements.txt
COPY contracts contracts
COPY shared shared
COPY services/__init__.py services/__init__.py
COPY services/${SERVICE} services/${SERVICE}
RUN python -c "import services.${SERVICE}.__main__"
ENV PARLEY_SERVICE=${SERVICE}
USER 10001:10001
CMD ["sh", "-c", "exec python -m services.$PARLEY_SERVICE"]
