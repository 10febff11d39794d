"""The figure of a plan: where a step's time goes, and how the pace grows."""

from collections import defaultdict

from research import pages
from research.planning import units
from research.planning.results import Plan, SlicePlan

_PARTS = {
    "kernels": ("kernels (compiler's cycles)", "#2f6fab"),
    "unpriced": ("kernels without an estimate", "#9dbfdc"),
    "messages_exposed": ("waiting for messages", "#e08a3c"),
    "copies_exposed": ("waiting for copies", "#f1c58d"),
}

_BOUNDS = {
    "compute_bound": ("bound: compute", "o"),
    "memory_bound": ("bound: main memory", "s"),
    "interconnect_bound": ("bound: interconnect", "D"),
}


def svg(plan: Plan) -> str:
    """Returns the figure as an <svg> element; "" if no step was compiled."""
    compiled = [s for s in plan.slices if s.train]
    if not compiled:
        return ""

    def draw(figure):
        times, memory, pace = figure.subplots(1, 3, width_ratios=(5, 3, 3))
        _draw_times(times, compiled)
        _draw_memory(memory, compiled)
        _draw_pace(pace, compiled)

    return pages.svg((11, 3.6 + 0.16 * max(0, len(compiled) - 6)), draw)


def _draw_times(axes, slices: list[SlicePlan]) -> None:
    names = [s.topology.name for s in slices]
    unit, factor = ("ms", 1e3) if max(s.train.seconds for s in slices) >= 1e-3 else ("µs", 1e6)
    ends = [0.0] * len(slices)
    for part, (label, color) in _PARTS.items():
        widths = [factor * getattr(s.train, part) for s in slices]
        if max(widths) > 0.002 * factor * max(s.train.seconds for s in slices):
            axes.barh(names, widths, left=ends, color=color, label=label, height=0.55)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for bound, (label, marker) in _BOUNDS.items():
        values = [factor * getattr(s.train, bound) for s in slices]
        axes.plot(
            values, names, marker, markersize=5, markerfacecolor="white", color="#1d2733",
            label=label, clip_on=False, zorder=3,
        )  # fmt: skip
    for name, end, s in zip(names, ends, slices, strict=True):
        axes.annotate(
            f"  MFU {units.share(s.train.mfu)}",
            (end, name),
            va="center",
            fontsize=8,
            color="#5b6b7c",
        )
    axes.set_xlim(0, 1.18 * max(ends))
    axes.invert_yaxis()
    axes.set_title(f"Estimated train step, {unit}")
    handles, labels = axes.get_legend_handles_labels()
    order = [labels.index(label) for label, _ in (*_PARTS.values(), *_BOUNDS.values())
             if label in labels]  # fmt: skip
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        frameon=False, fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(-0.02, -0.1),
    )  # fmt: skip


def _draw_memory(axes, slices: list[SlicePlan]) -> None:
    names = [s.topology.name for s in slices]
    used = [100 * s.train.memory.total / s.available_memory for s in slices]
    axes.barh(names, [100] * len(names), color="#eef1f5", height=0.55)
    axes.barh(names, used, color="#4b8f6b", height=0.55)
    for name, share, s in zip(names, used, slices, strict=True):
        text = f"  {share:.2g}% of {s.available_memory / 2**30:.4g} GiB"
        axes.annotate(text, (min(share, 40), name), va="center", fontsize=8, color="#1d2733")
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.set_title("Memory of a device, %")


def _draw_pace(axes, slices: list[SlicePlan]) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator

    axes.set_title("Examples a second")
    engineering = EngFormatter(sep="")
    by_chip = defaultdict(list)
    for s in slices:
        by_chip[s.topology.chip.name].append((s.topology.num_chips, s.examples_per_second))
    if all(len(points) == 1 for points in by_chip.values()):
        axes.barh(
            [s.topology.name for s in slices],
            [s.examples_per_second for s in slices],
            color="#7a6bb0", height=0.55,
        )  # fmt: skip
        axes.xaxis.set_major_formatter(engineering)
        axes.invert_yaxis()
        axes.set_yticks([])
        return
    for number, (name, points) in enumerate(by_chip.items()):
        chips, paces = zip(*sorted(points), strict=True)
        color = f"C{number}"
        axes.loglog(chips, paces, "o-", color=color, markersize=5, label=name)
        ideal = [paces[0] * n / chips[0] for n in chips]
        axes.loglog(chips, ideal, ":", color=color, linewidth=1)
    ticks = sorted({s.topology.num_chips for s in slices})
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(engineering)
    axes.minorticks_off()
    axes.set_xlabel("chips (dotted: in proportion)")
    axes.legend(frameon=False, fontsize=8)
