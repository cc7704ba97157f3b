"""A Swarm on this machine, with no cluster: the workers' own processes, started, watched and ended."""
