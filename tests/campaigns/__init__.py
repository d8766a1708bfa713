"""Fault campaigns: what may go wrong is made to go wrong, many times, and what was lost is counted (it must be none).

``make campaign`` runs them all; the default tests run each in small.
"""
