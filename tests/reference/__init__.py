"""Independent oracles in plain NumPy or Python."""
