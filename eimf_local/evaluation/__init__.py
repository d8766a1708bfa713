"""Ranking metrics, uncertainty, interest quality, and the report."""
