"""Joint training: samples, objective, loop, checkpoints."""
