"""Other people's describing models: from a checkpoint folder on this machine to an artifact that a worker runs."""
