"""Builds the bundled GGUF from scratch: corpus, tokeniser, network, training, export."""
