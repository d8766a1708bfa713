"""Semantic prediction and modality alignment: what the explicit interests teach."""
