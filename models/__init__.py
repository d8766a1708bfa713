"""Bundled models: the manifest, the model card, and the GGUF itself."""
