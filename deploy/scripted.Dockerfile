# The scripted provider, for tests of a deployment: speaks a provider's dialect from recordings.

FROM python:3.13-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /parley
COPY requirements/provider_adapter.txt /tmp/requirements.txt
RUN pip install -q --no-cache-dir --root-user-action=ignore --no-deps --require-hashes -r /tmp/requirements.txt
COPY contracts contracts
COPY shared shared
COPY local/__init__.py local/__init__.py
COPY local/scripted local/scripted
RUN python -c "import local.scripted.__main__"
USER 10001:10001
CMD ["python", "-m", "local.scripted", "--host", "0.0.0.0", "--port", "8081"]
