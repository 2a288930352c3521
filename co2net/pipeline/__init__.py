"""The main job: a video goes in, the harmonized video comes out."""
