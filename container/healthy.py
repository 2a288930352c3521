"""The image's health check: whether the server takes jobs."""

import os
import sys
import urllib.request

place = f"http://127.0.0.1:{os.environ.get('CO2NET_PORT', '7860')}/healthz"
try:
    with urllib.request.urlopen(place, timeout=4) as answer:
        sys.exit(answer.status != 200)
except OSError as error:
    sys.exit(f"{place}: {error}")
