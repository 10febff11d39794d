"""What an experiment will do on a TPU slice that isn't there."""
