"""Color mappings as tables: windows of volumes, completion, .cube files."""
