"""The learner beside TRL's GRPOTrainer, beside itself with another sampler, and beside the bound of its own parts."""
