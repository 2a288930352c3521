"""Per-frame harmonization networks, one paper per file."""
