"""Whether this machine can train, and if not, why: facts are read, findings follow from them."""
