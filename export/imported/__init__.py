"""Other people's describing models: from a checkpoint folder to an artifact that a worker runs."""
