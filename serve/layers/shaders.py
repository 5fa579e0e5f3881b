"""What Neuroglancer draws of an image, in GLSL: grey tissue, and maps that it shines through.

A number of 0 in a map stands for no data and is never drawn.
"""

_MAP = """#uicontrol invlerp normalized(range=[{low}, 255]{channel})
#uicontrol float opacity slider(min=0, max=1, default=0.6)
{colour}void main() {{
  float strength = normalized();
  if (toRaw(getDataValue({number})) == 0u || strength <= 0.0) {{
    emitTransparent();
  }} else {{
    emitRGBA(vec4({drawn}, opacity * min(strength, 1.0)));
  }}
}}
"""


def tissue(black: int, white: int) -> str:
    """Grey values, of which two become black and white."""
    return (
        f"#uicontrol invlerp grey(range=[{black}, {white}])\n"
        "void main() { emitGrayscale(grey()); }\n"
    )


def heat(low: int) -> str:
    """Similarities from blue to red; those of `low` and below are not drawn."""
    return _MAP.format(low=low, channel="", number="", colour="", drawn="colormapJet(strength)")


def probability(colour: str, channel: int | None = None) -> str:
    """Probabilities in one colour, `#rrggbb`; those below a tenth are not drawn.

    Args:
        colour: at first; the person at the screen can choose another.
        channel: that they are in; None where there is but one, which may not be named then.
    """
    control = f'#uicontrol vec3 colour color(default="{colour}")\n'
    named = "" if channel is None else f", channel={channel}"
    number = "" if channel is None else channel
    return _MAP.format(low=25, channel=named, number=number, colour=control, drawn="colour")
