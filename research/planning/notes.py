"""What is to be said of single slices, in sentences."""

from collections.abc import Iterator

from research.planning.results import Plan, SlicePlan


def notes(plan: Plan) -> list[str]:
    """Returns what is to be said of single slices; of several, where it is the same."""
    said: dict[str, list[str]] = {}
    for s in plan.slices:
        for note in _of_slice(s):
            said.setdefault(note, []).append(s.topology.name)
    return [f"{', '.join(names)}: {note}" for note, names in said.items()]


def _of_slice(s: SlicePlan) -> Iterator[str]:
    if s.reason:
        yield s.reason
    yield from s.notes
    if s.largest:
        yield _search_note(s)
    for name, step in (("train", s.train), ("eval", s.evaluate)):
        if step and step.unpriced_opcodes:
            kinds = ", ".join(f"{n} {op}" for op, n in sorted(step.unpriced_opcodes.items()))
            yield (
                f"in the {name} step the compiler estimates no time for {kinds}; they count with "
                "their main memory traffic"
            )
        if step and step.unknown_loops:
            yield f"in the {name} step {step.unknown_loops} loops of unknown length count once"


def _search_note(s: SlicePlan) -> str:
    if not s.largest.fits:
        return "not even one example a device fits"
    if s.limited_by_data:
        limit = "the whole training split"
    elif s.largest.does_not_fit:
        limit = f"{s.largest.does_not_fit:,} do not"
    else:
        limit = "larger ones were not tried"
    return (
        f"{s.largest.fits:,} examples a device ({s.largest.fits * s.mesh['data']:,} in all) fit, "
        f"{limit}; found with {s.largest.compilations} compilations"
    )
