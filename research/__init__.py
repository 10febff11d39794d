"""Hanok: a functional JAX research framework for TPU, GPU and CPU.

Importing this package, `research.experiment` and the tables of components is
cheap: JAX and its relatives are imported only where they are used, so that a
misspelt override is refused in a fraction of a second.
"""

__version__ = "0.1.0"
