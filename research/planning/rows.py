"""A plan as tables of words, which the text and the HTML report set."""

import dataclasses
from collections.abc import Callable, Sequence

from research.planning import units
from research.planning.chips import CHIPS, GIB, HOP_SECONDS, SCALING_BOOK
from research.planning.results import Plan, SlicePlan, StepPlan

COMPILER, BOUND, DERIVED, GIVEN = "c", "b", "e", ""

LEGEND = {
    COMPILER: (
        "the compiler's own figure: XLA for TPUs, run ahead of time. A kernel's time is the "
        "cycles that its cost model expects, at the clock at which the matrix units reach the "
        "data sheet's peak"
    ),
    BOUND: (
        "a bound: FLOPs, bytes and messages over the peak and the bandwidths of the data sheet; "
        "no step is faster, real ones are slower"
    ),
    DERIVED: (
        "an estimate derived from both: the compiler's schedule replayed, kernels at its cycles, "
        "copies and messages at their bounds, beside the kernels where the compiler put them there"
    ),
}

ASSUMPTIONS = (
    "Nothing was run or measured: no TPU had a part in this.",
    "Steps follow each other without a gap: feeding, start-up, compiling and checkpoints are "
    "not counted.",
    "Matrix products run in bfloat16 passes, the default on a TPU also for float32 parameters.",
    f"A hop between chips takes {HOP_SECONDS * 1e6:.0f} µs, messages go one after the other, and "
    "those of one group keep to the links between its devices.",
    "Another global batch is another experiment: what it does to the accuracy isn't predicted.",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
      label: what it is.
      origin: a key of `LEGEND`, or `GIVEN`.
      cells: a text for each column.
      is_result: whether it sums up the lines above.
    """

    label: str
    origin: str
    cells: tuple[str, ...]
    is_result: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A titled table; the columns are slices unless they have names of their own."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def holds_words(self, column: int) -> bool:
        """Whether a column holds words, which are set from the left, rather than numbers."""
        cells = [row.cells[column] for row in self.rows]
        return not all(cell[:1].isdigit() or cell == units.NOTHING for cell in cells)


def headline(plan: Plan) -> tuple[str, str]:
    """Returns what was planned, in two lines."""
    held = {
        "weak": "the work of each device is held (weak scaling)",
        "strong": "the global batch is held (strong scaling)",
    }[plan.scaling]
    return (
        f"{plan.experiment}: {plan.model} with {plan.parameters:,} parameters",
        f"{plan.data_name}, {plan.data.train:,} training examples of "
        f"{'×'.join(map(str, plan.data.input_shape))}, {plan.epochs:g} epochs; {held}",
    )


def slice_tables(slices: Sequence[SlicePlan]) -> list[Table]:
    """Returns the tables whose columns are slices, without lines that hold nothing."""
    return [t for t in map(_without_empty_rows, _slice_tables(slices)) if t.rows]


def _without_empty_rows(table: Table) -> Table:
    rows = tuple(row for row in table.rows if set(row.cells) != {units.NOTHING})
    return dataclasses.replace(table, rows=rows)


def _slice_tables(slices: Sequence[SlicePlan]) -> list[Table]:
    columns = tuple(s.topology.name for s in slices)

    def row(label: str, origin: str, cell: Callable[[SlicePlan], str], is_result=False) -> Row:
        return Row(label, origin, tuple(map(cell, slices)), is_result)

    def of_step(label: str, origin: str, cell: Callable[[StepPlan], str], is_result=False) -> Row:
        def text(s: SlicePlan) -> str:
            return cell(s.train) if s.train else units.NOTHING

        return row(label, origin, text, is_result)

    def of_memory(label: str, part: str, sign: str = "") -> Row:
        return of_step(label, COMPILER, lambda t: sign + units.size(getattr(t.memory, part)))

    def of_time(label: str, origin: str, part: str, is_result=False) -> Row:
        return of_step(label, origin, lambda t: units.time(getattr(t, part)), is_result)

    return [
        Table(
            "The experiment on the slice",
            columns,
            (
                row("chips", GIVEN, lambda s: units.count(s.topology.num_chips)),
                row("mesh", GIVEN, _mesh),
                row("examples a device", GIVEN,
                    lambda s: units.count(s.per_device_batch_size or None)),
                row("global batch", GIVEN, lambda s: units.count(s.global_batch_size)),
                row("verdict", COMPILER, lambda s: s.status, is_result=True),
                row("largest batch a device", COMPILER, _largest),
                row("compiling, train + eval", COMPILER, _compile_seconds),
            ),
        ),
        Table(
            "Memory of a device, train step",
            columns,
            (
                of_memory("arguments (state, batch)", "arguments"),
                of_memory("outputs", "outputs"),
                of_memory("outputs in place", "aliased", "−"),
                of_memory("temporaries", "temporaries"),
                of_memory("program", "code"),
                of_step("in all", COMPILER, lambda t: units.size(t.memory.total), is_result=True),
                row("available", COMPILER, lambda s: units.size(s.available_memory)),
                row("used", COMPILER, _used),
            ),
        ),
        Table(
            "Work of a train step",
            columns,
            (
                of_step("model, all devices", GIVEN, lambda t: units.flops(t.model_flops)),
                of_step("executed, a device", COMPILER, lambda t: units.flops(t.executed_flops)),
                of_step("main memory traffic", COMPILER, lambda t: units.size(t.hbm_bytes)),
                of_step("bytes accessed anywhere", COMPILER,
                        lambda t: units.size(t.bytes_accessed)),
                of_step("kernel cycles", COMPILER, lambda t: units.count(t.cycles)),
            ),
        ),
        Table(
            "Time of a train step",
            columns,
            (
                of_time("kernels", COMPILER, "kernels"),
                of_time("kernels without an estimate", BOUND, "unpriced"),
                of_time("waiting for messages", DERIVED, "messages_exposed"),
                of_time("waiting for copies", DERIVED, "copies_exposed"),
                of_time("estimate", DERIVED, "seconds", is_result=True),
                of_time("bound: compute", BOUND, "compute_bound"),
                of_time("bound: main memory", BOUND, "memory_bound"),
                of_time("bound: interconnect", BOUND, "interconnect_bound"),
                of_step("MFU", DERIVED, lambda t: units.share(t.mfu)),
            ),
        ),
        Table(
            "The whole experiment",
            columns,
            (
                row("train steps", GIVEN, lambda s: units.count(s.run and s.run.train_steps)),
                row("eval steps", GIVEN, lambda s: units.count(s.run and s.run.eval_steps)),
                row("an eval step", DERIVED,
                    lambda s: units.time(s.evaluate and s.evaluate.seconds)),
                row("time", DERIVED, lambda s: units.time(s.run and s.run.seconds), True),
                row("chip-hours", DERIVED, lambda s: _chip_hours(s), True),
            ),
        ),
    ]  # fmt: skip


def scaling_table(plan: Plan) -> Table:
    """Returns the table that has a line for each slice that was compiled; of several."""
    ordered = sorted(
        (s for s in plan.slices if s.train),
        key=lambda s: (s.topology.chip.name, s.topology.num_chips),
    )
    rows = tuple(
        Row(
            s.topology.name,
            GIVEN,
            (
                units.count(s.topology.num_chips),
                units.count(s.global_batch_size),
                units.size(s.train and s.train.memory.total),
                units.flops(s.train and s.train.executed_flops),
                units.count(s.train and s.train.cycles),
                units.time(s.train and s.train.seconds),
                units.count(s.examples_per_second),
                units.share(plan.efficiency(s)),
            ),
        )
        for s in ordered
    )
    columns = (
        "chips", "global batch", "memory", "FLOPs", "cycles", "step", "examples/s", "per chip",
    )  # fmt: skip
    title = "Scaling: memory, FLOPs and cycles of a device; step time; pace"
    return Table(title, columns, rows if len(rows) > 1 else ())


def message_table(plan: Plan) -> Table:
    """Returns the collectives of all train steps."""
    rows = tuple(
        Row(
            s.topology.name if number == 0 else "",
            GIVEN,
            (
                m.kind + (" (async)" if m.is_async else ""),
                f"{'+'.join(m.axes) or 'none'} of {m.group_size}",
                units.count(m.count),
                units.size(m.bytes),
                units.time(m.seconds),
            ),
        )
        for s in plan.slices
        if s.train
        for number, m in enumerate(s.train.messages)
    )
    columns = ("kind", "along", "messages", "bytes", "bound")
    return Table("Collectives of a train step", columns, rows)


def chip_table(plan: Plan) -> Table:
    """Returns the published figures of the chips."""
    used = dict.fromkeys(s.topology.chip.name for s in plan.slices)
    rows = tuple(
        Row(
            chip.name,
            GIVEN,
            (
                f"{chip.peak_flops / 1e12:g} TFLOP/s",
                f"{chip.hbm_bytes / GIB:g} GiB",
                f"{chip.hbm_bandwidth / 1e9:g} GB/s",
                f"{chip.links} × {chip.link_bandwidth / 1e9:g} GB/s",
                f"{chip.clock / 1e9:.2f} GHz",
                chip.source,
            ),
        )
        for chip in map(CHIPS.__getitem__, used)
    )
    columns = ("bf16 peak", "memory", "bandwidth", "links, one way", "clock", "source")
    return Table(f"Data sheets (links: {SCALING_BOOK})", columns, rows)


def _mesh(s: SlicePlan) -> str:
    axes = "×".join(f"{axis}:{size}" for axis, size in s.mesh.items())
    return f"{axes} {s.mode}" if axes else units.NOTHING


def _largest(s: SlicePlan) -> str:
    if s.largest is None:
        return units.NOTHING
    more = "≥ " if s.limited_by_data else ""
    return f"{more}{s.largest.fits:,}" if s.largest.fits else "none"


def _compile_seconds(s: SlicePlan) -> str:
    if not (s.train and s.evaluate):
        return units.NOTHING
    return f"{s.train.compile_seconds:.1f} + {s.evaluate.compile_seconds:.1f} s"


def _used(s: SlicePlan) -> str:
    if not (s.train and s.available_memory):
        return units.NOTHING
    return units.share(s.train.memory.total / s.available_memory)


def _chip_hours(s: SlicePlan) -> str:
    return f"{s.run.chip_hours:.3g}" if s.run else units.NOTHING
