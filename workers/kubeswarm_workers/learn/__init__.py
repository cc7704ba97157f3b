"""The learner: advantages and loss (pure), the model, one update, checkpoints. No network, no chain."""
