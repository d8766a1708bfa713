"""Tests of eimf_local.evaluation."""
