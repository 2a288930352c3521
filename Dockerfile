# Page and server of co2net. CPU by default; for NVIDIA GPUs:
#   docker build -t co2net --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
FROM python:3.12-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# The compiler makes applying LUTs fast; it stays in this stage.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN TORCH_INDEX="$TORCH_INDEX" sh /src/container/install.sh /src /opt/co2net

FROM python:3.12-slim-bookworm
COPY --from=build /opt/co2net /opt/co2net
RUN useradd --system --uid 10001 --no-create-home --home-dir /tmp co2net
USER co2net
# Nothing is written but to /tmp, where the server clears away what a killed one has left.
ENV PATH=/opt/co2net/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1
VOLUME /tmp
EXPOSE 7860
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python", "/opt/co2net/healthy.py"]
# Listening to the network wants a token: CO2NET_TOKEN, or --token.
ENTRYPOINT ["co2net", "serve", "--host", "0.0.0.0"]
