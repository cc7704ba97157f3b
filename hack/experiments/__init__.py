"""Experiments that are in docs/experiments: run, summed up over seeds and drawn by code."""
