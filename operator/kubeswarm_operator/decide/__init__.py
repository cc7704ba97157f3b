"""Pure policies, one a file: from a snapshot to what should be."""
