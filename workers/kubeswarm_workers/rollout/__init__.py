"""Rollouts: vLLM engines in Ray actors, their weights, and the Ray cluster of one Node."""
