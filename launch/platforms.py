"""--platform: the devices that a command insists on.

An entry point that uses devices defines the flag, and passes it to `require`
before it touches one. Nothing slow is imported unless a platform is asked for.
"""

from absl import flags

from research.errors import UserError

PLATFORMS = ("tpu", "gpu", "cpu")


def define(values: flags.FlagValues) -> None:
    """Defines the flag."""
    flags.DEFINE_enum(
        "platform",
        "",
        ["", *PLATFORMS],
        "run there or not at all; on whatever JAX has unless given",
        flag_values=values,
    )


def require(platform: str) -> None:
    """Has JAX use this platform, before it starts any; "" is whatever JAX has.

    To be called before the first device is touched, and after
    `jax.distributed.initialize` where that is called.

    Raises:
      UserError: if JAX does not have the platform, with the reason.
    """
    if not platform:
        return
    from research.diagnosis import backends
    from research.diagnosis.machine import Machine
    from research.diagnosis.report import why_not

    # JAX must start in this very process.
    problems = why_not(platform, Machine(look=backends.look))
    if problems:
        raise UserError(
            f"--platform={platform}: {problems[0].message}\n  -> {problems[0].remedy}\n"
            "`python -m launch.doctor` looks at the whole machine"
        )
