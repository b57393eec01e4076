# syntax=docker/dockerfile:1
# A plain Python image is enough for a GPU too: torch's wheels bring their own CUDA libraries, and the NVIDIA
# container toolkit brings the driver. Without a GPU the same image runs on the CPU.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONPATH=/app \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# "--build-arg REQUIREMENTS=requirements-cluster.txt -t keytrack-ray" adds Ray, for the files of deploy/.
ARG REQUIREMENTS=requirements.txt
WORKDIR /app
COPY requirements.txt requirements-cluster.txt ./
RUN pip install -r ${REQUIREMENTS}

COPY backend ./backend
COPY labelstudio_config ./labelstudio_config
COPY LICENSE ./

# Volumes take over the owner of the directories they are mounted on.
RUN useradd --create-home --uid 10001 keytrack \
    && mkdir /data /weights \
    && chown keytrack:keytrack /data /weights
USER keytrack
ENV KEYTRACK_DATA_DIR=/data \
    KEYTRACK_WEIGHTS_DIR=/weights \
    KEYTRACK_PORT=9090
VOLUME ["/data", "/weights"]
EXPOSE 9090

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; server = http.client.HTTPConnection('127.0.0.1', int(os.environ['KEYTRACK_PORT']), timeout=4); server.request('GET', '/health'); sys.exit(server.getresponse().status not in (200, 401))"]

CMD ["python", "-m", "backend", "serve", "--host", "0.0.0.0"]
