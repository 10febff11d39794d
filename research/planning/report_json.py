"""A plan as JSON; docs/plan.md describes its fields."""

import dataclasses
from typing import Any

from research.planning import rows
from research.planning.chips import CHIPS
from research.planning.notes import notes
from research.planning.results import Plan, SlicePlan, StepPlan

SCHEMA = "hanok.plan/2"
"""Changes when a field is renamed, removed or means something else."""


def to_json(plan: Plan) -> dict[str, Any]:
    """Returns a plan as a JSON value; seconds, bytes and FLOPs are plain numbers."""
    chips = {s.topology.chip.name for s in plan.slices}
    return {
        "schema": SCHEMA,
        "experiment": plan.experiment,
        "model": plan.model,
        "parameters": plan.parameters,
        "epochs": plan.epochs,
        "data": {"name": plan.data_name, **dataclasses.asdict(plan.data)},
        "scaling": plan.scaling,
        "slices": [_slice(plan, s) for s in plan.slices],
        "chips": {name: _chip(name) for name in sorted(chips)},
        "origins": rows.LEGEND,
        "assumptions": list(rows.ASSUMPTIONS),
        "notes": notes(plan),
        "versions": plan.versions,
    }


def _slice(plan: Plan, s: SlicePlan) -> dict[str, Any]:
    return {
        "topology": s.topology.name,
        "chip": s.topology.chip.name,
        "chips": s.topology.num_chips,
        "devices": s.topology.num_devices,
        "mesh": s.mesh,
        "mode": s.mode,
        "global_batch_size": s.global_batch_size,
        "per_device_batch_size": s.per_device_batch_size,
        "status": s.status,
        "reason": s.reason,
        "available_memory": s.available_memory,
        "largest_per_device_batch": s.largest and {
            **dataclasses.asdict(s.largest),
            "limited_by_data": s.limited_by_data,
        },
        "train_step": s.train and _step(s.train),
        "eval_step": s.evaluate and _step(s.evaluate),
        "run": s.run and dataclasses.asdict(s.run),
        "examples_per_second": s.examples_per_second,
        "scaling_efficiency": plan.efficiency(s),
    }  # fmt: skip


def _step(step: StepPlan) -> dict[str, Any]:
    values = dataclasses.asdict(step)
    values["memory"]["total"] = step.memory.total
    return {**values, "seconds": step.seconds}


def _chip(name: str) -> dict[str, Any]:
    chip = CHIPS[name]
    return {
        "peak_flops": chip.peak_flops,
        "hbm_bytes": chip.hbm_bytes,
        "hbm_bandwidth": chip.hbm_bandwidth,
        "links": chip.links,
        "link_bandwidth": chip.link_bandwidth,
        "clock": chip.clock,
        "devices": chip.devices,
        "source": chip.source,
    }
