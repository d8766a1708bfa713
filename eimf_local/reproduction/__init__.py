"""The grid of conditions and seeds behind ``eimf-local reproduce``, resumable, and its record for the report."""
