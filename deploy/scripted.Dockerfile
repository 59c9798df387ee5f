# The scripted provider, for tests of a deployment: plays Kimi, and needs nothing but Python.

FROM python:3.13-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /parley
COPY local/__init__.py local/__init__.py
COPY local/scripted local/scripted
RUN python -c "import local.scripted.__main__"
USER 10001:10001
CMD ["python", "-m", "local.scripted", "--host", "0.0.0.0", "--port", "8081"]
