"""Many experiments of one shape, trained at once as one program."""
