"""Packaged presets, one TOML file each: no number of an experiment hides in code."""
