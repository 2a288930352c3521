"""Color mappings as LUTs: windows of volumes, completion, .cube files."""
