"""Consistency over time: pairs of frames, scored on the way or from stored results."""
