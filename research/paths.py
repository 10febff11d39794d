"""Names of the leaves of a pytree."""

import jax


def path_name(path: tuple) -> str:
    """Returns a leaf's path in a pytree as "a/b/c"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
