"""Colours that tell objects apart."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]

PALETTE_SIZE = 256


def davis_palette() -> list[Colour]:
    """The 256 colours of DAVIS's and PASCAL VOC's indexed masks.

    The bits of an index, the lowest first, go to red, green and blue in turn, each channel's first one to its
    highest bit; index 0 is black.
    """
    colours = []
    for index in range(PALETTE_SIZE):
        channels = [0, 0, 0]
        for bit in range(8):
            channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
        colours.append((channels[0], channels[1], channels[2]))
    return colours


# The golden section of the circle: however many hues are taken, the next one lies in the widest gap.
_HUE_STEP = 0.618034
_FIRST_HUE = 0.97
_SHADES = ((0.85, 1.0), (0.6, 1.0), (0.9, 0.75))


def bright_colours(count: int) -> list[Colour]:
    """``count`` colours that show on a photograph, neighbours in the list far apart."""
    colours = []
    for number in range(count):
        saturation, value = _SHADES[number // 6 % len(_SHADES)]
        red, green, blue = colorsys.hsv_to_rgb((_FIRST_HUE + number * _HUE_STEP) % 1, saturation, value)
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colours
