"""Small programs in the words of XLA for TPUs, for tests that read them."""


def kernel(name: str, operands: str = "", cycles: int = 1000, shape: str = "f32[8,128]{1,0:S(1)}"):
    """An instruction that the compiler has an estimate for."""
    return (
        f"  %{name} = {shape} fusion({operands}), kind=kLoop, calls=%fused, "
        f'backend_config={{"window_config":{{"estimated_cycles":"{cycles}"}}}}'
    )


def module(*entry: str, computations: str = "") -> str:
    """A module whose entry has the given instructions, beside a parameter %x in main memory."""
    lines = "\n".join(entry)
    return f"""HloModule test, is_scheduled=true

%fused (p: f32[8,128]) -> f32[8,128] {{
  %p = f32[8,128]{{1,0}} parameter(0)
  ROOT %doubled = f32[8,128]{{1,0}} add(%p, %p)
}}
{computations}
ENTRY %main (x: f32[8,128]) -> f32[8,128] {{
  %x = f32[8,128]{{1,0:T(8,128)}} parameter(0)
{lines}
}}
"""


def loop(body: str, start: int = 0, stop: int = 4, step: int = 1, config: str = "") -> str:
    """A module with a loop that counts as JAX's do, and runs `body` each time."""
    computations = f"""
%condition (state: (s32[], f32[8,128])) -> pred[] {{
  %state = (s32[], f32[8,128]{{1,0}}) parameter(0)
  %stop = s32[] constant({stop})
  %count = s32[] get-tuple-element(%state), index=0
  ROOT %less = pred[] compare(%count, %stop), direction=LT
}}

%body (carry: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {{
  %carry = (s32[], f32[8,128]{{1,0}}) parameter(0)
  %i = s32[] get-tuple-element(%carry), index=0
  %i_copy = s32[] copy(%i)
  %y = f32[8,128]{{1,0:S(1)}} get-tuple-element(%carry), index=1
  %one = s32[] constant({step})
  %next = s32[] add(%i_copy, %one)
{body}
  ROOT %result = (s32[], f32[8,128]{{1,0}}) tuple(%next, %y)
}}
"""
    return module(
        f"  %start = s32[] constant({start})",
        "  %start_copy = s32[] copy(%start)",
        "  %before = (s32[], f32[8,128]{1,0}) tuple(%start_copy, %x)",
        "  ROOT %loop = (s32[], f32[8,128]{1,0}) while(%before), condition=%condition, "
        f"body=%body{config}",
        computations=computations,
    )
