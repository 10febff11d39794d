"""Numbers as people read them."""

from collections.abc import Sequence

NOTHING = "–"


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    """Returns three digits and the largest unit that leaves one before the point."""
    size, unit = next((u for u in units if value >= u[0]), units[-1])
    return f"{value / size:.3g} {unit}" if value / size < 1000 else f"{value / size:,.0f} {unit}"


def count(value: float | None) -> str:
    """1234567 -> "1,234,567"."""
    return NOTHING if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """0.123 -> "12.3%", 0.00123 -> "0.12%"."""
    if value is None:
        return NOTHING
    return (
        f"{100 * value:.2g}%" if value < 0.01 else f"{value:.1%}" if value < 1 else f"{value:.0%}"
    )


def size(value: float | None) -> str:
    """Bytes -> "12.3 MiB"."""
    if value is None:
        return NOTHING
    return _scaled(
        value, [(2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")]
    )


def flops(value: float | None) -> str:
    """Floating-point operations -> "1.23 GFLOP"."""
    if value is None:
        return NOTHING
    return _scaled(
        value, [(1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1e3, "kFLOP")]
    )


def time(value: float | None) -> str:
    """Seconds -> "12.3 ms", "1.23 s", "12 min", "1.2 h"."""
    if value is None:
        return NOTHING
    if value >= 60:
        return _scaled(value, [(86400, "days"), (3600, "h"), (60, "min")])
    return _scaled(value, [(1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]) if value else "0"
