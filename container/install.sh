#!/bin/sh
# The image's steps: install.sh SOURCE TARGET makes an environment in TARGET with co2net, page, server and weights.
# TORCH_INDEX: where PyTorch comes from; empty: where everything comes from.
set -eu
python3 -m venv "$2"
target=$2
install() { "$target/bin/python" -m pip install --disable-pip-version-check --quiet "$@"; }
install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
install "setuptools>=77" "$1[app]"
cp "$1/container/healthy.py" "$target/healthy.py"
# Without weights the server would come up and refuse every job.
cd / && "$target/bin/co2net" models | grep -q "the default"
