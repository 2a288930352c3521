"""A page and a server over one queue of jobs: ``co2net serve``, or :func:`co2net.app.server.create_app`.

The process that listens (:mod:`~co2net.app.server`, :mod:`~co2net.app.page`) never opens what people send: it keeps
the queue (:mod:`~co2net.app.jobs`) and hands files to worker processes (:mod:`~co2net.app.worker`), which decode,
compute and encode. A file that kills its worker costs one job. Needs ``pip install 'co2net[app]'``.
"""

from __future__ import annotations
