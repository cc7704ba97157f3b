"""A control plane of its own with kwok's nodes: for the operator's benchmark, and for its counted and random tests."""
