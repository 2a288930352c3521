# pyright: reportMissingImports=false, reportMissingModuleSource=false
"""Does the server bear many small requests: none lost, none mixed up, memory flat, and how long does each take?

Starts ``co2net serve --no-page`` on the loopback, sends pictures of its own (each of another color, so that an answer
that belongs to another request is noticed), several at a time, and reads the processes' memory between quarters.

Usage: python benchmarks/bench_server.py [--requests 200] [--parallel 8] [--size 320x180]
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from common import save
from tables import server_tables


def main() -> None:
    """Run, print the table, save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--size", default="320x180")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "co2net", "serve", "--no-page", "--quiet", "--port", str(port)])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
            _wait_until_up(client)
            _ask(client, 0, width, height)  # loads the network
            rows = _measure(client, server.pid, options.requests, options.parallel, width, height)
    finally:
        server.terminate()
        server.wait(20)
    settings = {"requests": options.requests, "parallel": options.parallel, "size": options.size}
    print(server_tables(rows, settings))
    save("server", rows, **settings)
    if wrong := sum(row["lost"] + row["mixed_up"] for row in rows):
        sys.exit(f"{wrong} of {options.requests} requests were lost or got another one's answer")


def _measure(client: httpx.Client, server: int, count: int, parallel: int, width: int, height: int) -> list[Any]:
    rows = []
    quarter = max(1, count // 4)
    with ThreadPoolExecutor(parallel) as pool:
        for begin in range(0, count, quarter):
            numbers = range(begin, min(begin + quarter, count))
            started = time.perf_counter()
            answers = list(pool.map(lambda number: _ask(client, number, width, height), numbers))
            seconds = sorted(answer["seconds"] for answer in answers)
            cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
            rows.append(
                {
                    "requests": f"{begin + 1} to {numbers[-1] + 1}",
                    "lost": sum(answer["lost"] for answer in answers),
                    "mixed_up": sum(answer["mixed_up"] for answer in answers),
                    "per_second": len(answers) / (time.perf_counter() - started),
                    "median_seconds": cuts[49],
                    "p95_seconds": cuts[94],
                    "worst_seconds": seconds[-1],
                    "memory_mib": _memory_mib(server),
                }
            )
    return rows


def _ask(client: httpx.Client, number: int, width: int, height: int) -> dict[str, Any]:
    """One picture there and back; its background tells whose answer it is."""
    color = np.array([number % 64 * 4, number // 64 * 60, 128], np.uint8)
    picture = np.broadcast_to(color, (height, width, 3)).copy()
    picture[height // 4 : -height // 4, width // 4 : -width // 4] = 255 - color
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = 255
    files = {
        role: (f"{number}.png", cv2.imencode(".png", data)[1].tobytes())
        for role, data in (("composite", picture), ("mask", mask))
    }
    started = time.perf_counter()
    try:
        answer = client.post("/v1/harmonize", files=files)
    except httpx.HTTPError:
        return {"seconds": time.perf_counter() - started, "lost": True, "mixed_up": False}
    seconds = time.perf_counter() - started
    back = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR) if answer.is_success else None
    lost = back is None
    return {"seconds": seconds, "lost": lost, "mixed_up": not lost and bool((back[mask == 0] != color).any())}


def _wait_until_up(client: httpx.Client) -> None:
    for _ in range(600):
        try:
            if client.get("/healthz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    sys.exit("the server did not come up within five minutes")


def _memory_mib(server: int) -> float:
    """Resident memory of the server and its workers."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    ours = [number for number, parent in parents.items() if server in (number, parent)]
    pages = sum(int(Path(f"/proc/{number}/statm").read_text().split()[1]) for number in ours)
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


if __name__ == "__main__":
    main()
