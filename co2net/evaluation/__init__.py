"""Measuring results: classical methods to compare with, and tables over clips."""
