"""Says what an experiment will do on TPU slices, before one is rented.

    python -m launch.plan --config=configs/fashion_mnist_cnn.py --topology=v5e:2x4,v5e:16x16
    python -m launch.plan --config.mesh.mode=fsdp --topology=v6e:2x4 --html=plan.html

Compiles the experiment's own train and eval step with the compiler for TPUs, on
a machine without one: whether it fits, the largest batch that does, memory,
FLOPs, messages, estimated time and chip-hours. Needs libtpu (the extra "plan")
and no network. Exit codes: 0 planned, 2 bad input.
"""

from launch import cli

_DESCRIBED = ("data_shape", "data_classes", "data_examples")


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    from launch.flags import parse_experiment
    from research.planning import compiler
    from research.planning.options import Options
    from research.planning.topologies import parse_topologies

    experiment, values = parse_experiment(argv, _define, __doc__)
    topologies = parse_topologies(values.topology)
    described = _described(values)
    _check_outputs(values)
    compiler.check_installed()
    from research.planning.apart import make_plan

    plan = make_plan(
        experiment,
        described or _opened(experiment),
        topologies,
        Options(values.scaling, values.per_device_batch_size, values.search_batch),
        tell=(lambda text: None) if values.json == "-" else _tell,
    )
    _report(plan, values)
    return cli.SUCCESS


def _tell(text: str) -> None:
    print(text, flush=True)


def _check_outputs(values) -> None:
    """Raises `UserError` if a report can't be written: better now than after minutes."""
    import os
    import pathlib

    from research.errors import UserError

    for name in ("json", "html"):
        path = pathlib.Path(getattr(values, name) or "-")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise UserError(f"--{name}: {path} can't be written; give a file in a folder that can")


def _report(plan, values) -> None:
    import json
    import pathlib

    from research.planning import report_html, report_json, report_text
    from research.workdir import write_json

    values_of_plan = report_json.to_json(plan)
    if values.json not in ("", "-"):
        write_json(pathlib.Path(values.json), values_of_plan)
    if values.html:
        pathlib.Path(values.html).write_text(report_html.render(plan), encoding="utf-8")
    if values.json == "-":
        print(json.dumps(values_of_plan, indent=2))
        return
    print(f"\n{report_text.render(plan)}")
    for path in filter(None, (values.json, values.html)):
        print(f"\nwrote {path}")


def _described(values):
    """Returns what the flags say of the data, None if they say nothing."""
    from research.data.summary import Summary
    from research.errors import UserError

    given = [getattr(values, name) for name in _DESCRIBED]
    if not any(given):
        return None
    if not all(given):
        raise UserError(f"give all of {', '.join(f'--{name}' for name in _DESCRIBED)}, or none")
    shape, classes, examples = given
    try:
        dimensions, sizes = (tuple(map(int, text.split(","))) for text in (shape, examples))
        train, validation, test = sizes
        dtype = {1: "float32", 3: "uint8"}[len(dimensions)]
    except (ValueError, KeyError) as error:
        raise UserError(
            "--data_shape takes height,width,channels of images such as 28,28,1, or the number "
            "of columns of a table; --data_examples those of train,validation,test such as "
            f"54000,6000,10000; not {shape!r} and {examples!r}"
        ) from error
    if min(*dimensions, *sizes) < 1:
        raise UserError("--data_shape and --data_examples take numbers of at least 1")
    return Summary(dimensions, classes, train, validation, test, dtype)


def _opened(experiment):
    """Returns what the metadata of the experiment's data say.

    Raises:
      UserError: if it isn't there, with the flags that describe it instead.
    """
    from research.data.summary import summarize
    from research.errors import UserError

    try:
        return summarize(experiment.data)
    except UserError as error:
        raise UserError(
            f"{error}\nA plan needs no more than its shapes and sizes; they can be given, too:\n"
            "  --data_shape=28,28,1 --data_classes=10 --data_examples=54000,6000,10000\n"
            "  (height, width, channels; classes; examples of train, validation and test)"
        ) from error


def _define(values) -> None:
    from absl import flags

    from research.planning import topologies
    from research.planning.options import STRONG, WEAK

    flags.DEFINE_string(
        "topology",
        "",
        "slices to plan for, such as v5e:2x4,v5e:16x16. " + topologies.known_names(),
        flag_values=values,
    )
    flags.DEFINE_enum(
        "scaling",
        WEAK,
        [WEAK, STRONG],
        "what larger slices keep: weak, each device's part of the batch; strong, the global batch",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "per_device_batch_size",
        0,
        "that part; unless given, the experiment's batch divided over the smallest slice",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "search_batch", True, "search the largest batch that fits", flag_values=values
    )
    flags.DEFINE_string("json", "", "write the plan here as JSON; - prints it", flag_values=values)
    flags.DEFINE_string("html", "", "write the plan here as a page", flag_values=values)
    flags.DEFINE_string(
        "data_shape",
        "",
        "height,width,channels of images, or the columns of a table, without the data",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "data_classes", 0, "how many classes, without the data", lower_bound=0, flag_values=values
    )
    flags.DEFINE_string(
        "data_examples",
        "",
        "examples of train,validation,test, without the data",
        flag_values=values,
    )


if __name__ == "__main__":
    cli.run(main)
