"""Environments: prompts to sample, and scores of the answers. They run in a process of their own."""
