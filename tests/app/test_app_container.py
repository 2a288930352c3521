"""The image's own steps without a container engine: installed, served and asked in a root file system of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UID = "10001"
# What a slim image has: programs, libraries, and where names and certificates are found.
SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc", "dev")


def test_the_image_is_what_the_page_says():
    assert re.search(r"^USER co2net$", DOCKERFILE, re.MULTILINE) and f"--uid {UID}" in DOCKERFILE
    assert "HEALTHCHECK" in DOCKERFILE and "ARG TORCH_INDEX" in DOCKERFILE
    for source in re.findall(r"(?:sh|python\", \") ?/src/(\S+)", DOCKERFILE):
        assert (ROOT / source).is_file()
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in let_in)
    assert "CO2NET_TOKEN:?" in (ROOT / "compose.yaml").read_text(), "compose must not start without a token"


def test_the_health_check_says_no_where_nothing_listens():
    done = subprocess.run(
        [sys.executable, ROOT / "container" / "healthy.py"],
        env={**os.environ, "CO2NET_PORT": "9"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "127.0.0.1:9" in done.stderr


def can_make_roots() -> bool:
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "chroot", "setpriv", "mount"))):
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_make_roots(), reason="a root file system of its own needs root and unshare")
def test_the_images_steps_run_in_a_clean_root(tmp_path):
    """Installs co2net from the sources that the image would copy, serves as its user, asks as its health check does."""
    python = Path(sys.base_prefix)
    source = tmp_path / "root" / "src"
    source.mkdir(parents=True)
    for name in (line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")):
        leave = shutil.ignore_patterns("__pycache__", "*.so")
        place = ROOT / name
        shutil.copytree(place, source / name, ignore=leave) if place.is_dir() else shutil.copy(place, source)
    script = tmp_path / "steps.sh"
    names = " ".join(name for name in SYSTEM if Path("/", name).exists())
    script.write_text(
        f"""set -eu
root={tmp_path}/root
for name in {names}; do mkdir -p $root/$name; mount --rbind /$name $root/$name; done
mkdir -p $root{python} $root/proc $root/tmp $root/opt; chmod 1777 $root/tmp
mount --bind {python} $root{python}; mount -t proc proc $root/proc
export PATH={python}/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
chroot $root sh /src/container/install.sh /src /opt/co2net
rm -r $root/src
export PATH=/opt/co2net/bin:$PATH CO2NET_TOKEN=0123456789ab CO2NET_PORT=7899
chroot $root setpriv --reuid {UID} --regid {UID} --clear-groups co2net serve --host 0.0.0.0 --port 7899 &
server=$!
trap 'kill $server; wait $server || true' EXIT
for try in $(seq 100); do
  chroot $root python /opt/co2net/healthy.py 2>/dev/null && break || sleep 3
done
chroot $root python /opt/co2net/healthy.py
chroot $root python - <<'ASK'
import urllib.error, urllib.request
ask = lambda token: urllib.request.urlopen(urllib.request.Request(
    "http://127.0.0.1:7899/v1/models", headers={{"authorization": f"Bearer {{token}}"}})).read().decode()
assert '"tonenet"' in ask("0123456789ab")
try:
    ask("another token")
except urllib.error.HTTPError as error:
    assert error.code == 401
ASK
"""
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CO2NET"))}
    environment |= {"TORCH_INDEX": ""}
    begun = time.monotonic()
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, f"after {time.monotonic() - begun:.0f} s\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert not list((tmp_path / "root" / "tmp").glob("co2net-app-*")), "the server left files behind"
