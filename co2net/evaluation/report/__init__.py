"""The evaluation report: one web page and one Markdown file from the results of an evaluation.

``results.json`` is checked and read (:mod:`~co2net.evaluation.report.results`), said in words and tables
(:mod:`~co2net.evaluation.report.tables`), illustrated (:mod:`~co2net.evaluation.report.figures`) and written through
the templates beside this file (:mod:`~co2net.evaluation.report.page`).
"""

from co2net.evaluation.report.page import write_report

__all__ = ["write_report"]
