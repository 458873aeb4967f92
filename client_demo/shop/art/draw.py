"""Draws the pictures of the shop: `assets/products/*.png` and `assets/hero.png`.

Each product is a few shapes in SVG, lit from the upper left; one drawing in every colour it is sold in. Needs two
packages that the app itself does not:

    pip install resvg-py pyoxipng imagequant pillow
    python -m client_demo.shop.art.draw [product …]
"""

from __future__ import annotations

import io
import itertools
import json
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import imagequant
import oxipng
import resvg_py
from PIL import Image

SHOP = Path(__file__).parent.parent
SIZE = 480
COLOURS_MAX = 128
FLOOR = 428
"""Where things stand, in the 480 × 480 of a picture."""

_ids: Iterator[int] = itertools.count()


def mixed(one: str, other: str, share: float) -> str:
    """Mix a colour with `share` (0 to 1) of another one."""
    pairs = zip(_rgb(one), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def light(colour: str, share: float = 0.28) -> str:
    return mixed(colour, "#fff8ec", share)


def dark(colour: str, share: float = 0.3) -> str:
    return mixed(colour, "#1d1510", share)


# --- strokes of the brush ----------------------------------------------------------------------


def gradient(*stops: tuple[float, str], x2: float = 1, y2: float = 0) -> tuple[str, str]:
    """Give (definition, reference) of a linear gradient across the shape."""
    name = f"g{next(_ids)}"
    inner = "".join(f'<stop offset="{at}" stop-color="{colour}"/>' for at, colour in stops)
    return (
        f'<defs><linearGradient id="{name}" x1="0" y1="0" x2="{x2}" y2="{y2}">{inner}</linearGradient></defs>',
        f"url(#{name})",
    )


def glow(x: float, y: float, radius: float, colour: str, strength: float) -> str:
    """Light in the air."""
    name = f"r{next(_ids)}"
    return (
        f'<defs><radialGradient id="{name}"><stop offset="0" stop-color="{colour}" stop-opacity="{strength}"/>'
        f'<stop offset="1" stop-color="{colour}" stop-opacity="0"/></radialGradient></defs>'
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="url(#{name})"/>'
    )


def blurred(content: str, by: float) -> str:
    name = f"b{next(_ids)}"
    return (
        f'<defs><filter id="{name}" filterUnits="userSpaceOnUse" x="-90" y="-90" width="660" height="660">'
        f'<feGaussianBlur stdDeviation="{by}"/></filter></defs><g filter="url(#{name})">{content}</g>'
    )


def ground(x: float, width: float, y: float = FLOOR, strength: float = 0.3) -> str:
    """The shadow on the floor: wide and faint, narrow and dark where the thing stands."""
    far = f'<ellipse cx="{x + 10}" cy="{y}" rx="{width * 0.52}" ry="{width * 0.085}" fill="#2b2118" opacity="{strength * 0.75}"/>'
    near = f'<ellipse cx="{x + 4}" cy="{y - 1}" rx="{width * 0.47}" ry="{width * 0.035}" fill="#2b2118" opacity="{strength * 1.5}"/>'
    return blurred(far, 10) + blurred(near, 4)


def solid(
    path: str,
    colour: str,
    *,
    gloss: float = 0.5,
    shade: float = 0.55,
    left: float = 0.0,
    width: float = SIZE,
    inside: str = "",
    bottom: float = 0.4,
) -> str:
    """A round body: lighter on the left, darker on the right and towards the floor.

    `left` and `width` say where the body lies, so that light and shade sit on it; `inside` is drawn on its
    surface.
    """
    definition, fill = gradient(
        (0, dark(colour, 0.1)), (0.22, light(colour, 0.24)), (0.55, colour), (1, dark(colour, 0.34))
    )
    clip = f"c{next(_ids)}"
    shine = blurred(
        f'<rect x="{left + width * 0.17}" y="0" width="{width * 0.1}" height="{SIZE}" fill="#fffaf0" opacity="{gloss}"/>',
        width * 0.055,
    )
    dusk = blurred(
        f'<rect x="{left + width * 0.84}" y="0" width="{width * 0.4}" height="{SIZE}" fill="{dark(colour, 0.6)}" opacity="{shade}"/>',
        width * 0.09,
    )
    low = f"m{next(_ids)}"
    shadow = (
        f'<defs><linearGradient id="{low}" x1="0" y1="0" x2="0" y2="1"><stop offset="0.55" stop-color="{dark(colour, 0.7)}" stop-opacity="0"/>'
        f'<stop offset="1" stop-color="{dark(colour, 0.7)}" stop-opacity="{bottom}"/></linearGradient></defs>'
        f'<path d="{path}" fill="url(#{low})"/>'
    )
    return (
        f'{definition}<path d="{path}" fill="{fill}"/>'
        f'<defs><clipPath id="{clip}"><path d="{path}"/></clipPath></defs>'
        f'<g clip-path="url(#{clip})">{inside}{shine}{dusk}</g>{shadow}'
    )


def rim(x: float, y: float, rx: float, ry: float, colour: str, *, deep: float = 0.55) -> str:
    """The opening of a vessel, looked into from slightly above."""
    definition, fill = gradient(
        (0, dark(colour, deep + 0.15)),
        (0.6, dark(colour, deep - 0.05)),
        (1, dark(colour, deep - 0.3)),
    )
    edge, line = gradient(
        (0, light(colour, 0.5)), (0.5, light(colour, 0.2)), (1, dark(colour, 0.15))
    )
    return (
        f'{definition}{edge}<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{line}"/>'
        f'<ellipse cx="{x}" cy="{y + 0.8}" rx="{rx - 5}" ry="{max(1.5, ry - 3)}" fill="{fill}"/>'
    )


def speckles(colour: str, box: tuple[float, float, float, float], number: int, seed: int) -> str:
    """Iron in the clay."""
    chance = random.Random(seed)
    x, y, width, height = box
    return "".join(
        f'<circle cx="{x + chance.random() * width:.1f}" cy="{y + chance.random() * height:.1f}" '
        f'r="{0.7 + chance.random() * 1.5:.1f}" fill="{colour}" opacity="{0.25 + chance.random() * 0.4:.2f}"/>'
        for _ in range(number)
    )


def vessel(points: Sequence[tuple[float, float]], centre: float = 240) -> str:
    """Turn a profile, (distance from the axis, height) from top to bottom, into the outline of a pot."""
    right = [(centre + x, y) for x, y in points]
    left = [(centre - x, y) for x, y in reversed(points)]
    (x0, y0), (x1, y1) = right[0], right[-1]
    sag = points[-1][0] * 0.16
    path = f"M{centre - points[0][0]} {y0} L{x0} {y0} {_smooth(right)}"
    path += f" C{x1 - points[-1][0] * 0.4:.1f} {y1 + sag:.1f} {centre - points[-1][0] * 0.6:.1f} {y1 + sag:.1f} {left[0][0]} {left[0][1]}"
    return path + f" {_smooth(left)} Z"


def _smooth(points: list[tuple[float, float]]) -> str:
    """A curve through points (Catmull–Rom as Bézier)."""
    parts = []
    padded = [points[0], *points, points[-1]]
    for before, one, two, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        c1 = (one[0] + (two[0] - before[0]) / 6, one[1] + (two[1] - before[1]) / 6)
        c2 = (two[0] - (after[0] - one[0]) / 6, two[1] - (after[1] - one[1]) / 6)
        parts.append(f"C{c1[0]:.1f} {c1[1]:.1f} {c2[0]:.1f} {c2[1]:.1f} {two[0]:.1f} {two[1]:.1f}")
    return " ".join(parts)


def tube(path: str, width: float, colour: str) -> str:
    """A round rod along a line."""
    return (
        f'<path d="{path}" fill="none" stroke="{dark(colour, 0.35)}" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"/>'
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width * 0.66}" stroke-linecap="round" stroke-linejoin="round" transform="translate({-width * 0.08} {-width * 0.08})"/>'
        f'<path d="{path}" fill="none" stroke="{light(colour, 0.55)}" stroke-width="{width * 0.2}" stroke-linecap="round" stroke-linejoin="round" transform="translate({-width * 0.16} {-width * 0.14})"/>'
    )


def leaf(
    x: float, y: float, length: float, width: float, angle: float, colour: str, *, vein: bool = True
) -> str:
    """A leaf that grows from (x, y) at an angle (0 points up, clockwise), with its middle rib."""
    half = width / 2
    path = f"M0 0 C{half} {-length * 0.2} {half * 1.1} {-length * 0.68} 0 {-length} C{-half * 1.1} {-length * 0.68} {-half} {-length * 0.2} 0 0 Z"
    right = f"M0 0 C{half} {-length * 0.2} {half * 1.1} {-length * 0.68} 0 {-length} Z"
    definition, fill = gradient((0, light(colour, 0.2)), (1, dark(colour, 0.14)), x2=0.6, y2=1)
    rib = (
        f'<path d="M0 0 L0 {-length * 0.94}" stroke="{light(colour, 0.36)}" stroke-width="{max(1.4, width * 0.035)}" opacity="0.75" stroke-linecap="round"/>'
        if vein
        else ""
    )
    return (
        f'<g transform="translate({x:.1f} {y:.1f}) rotate({angle:.1f})">{definition}<path d="{path}" fill="{fill}"/>'
        f'<path d="{right}" fill="{dark(colour, 0.5)}" opacity="0.24"/>{rib}</g>'
    )


# --- lamps -------------------------------------------------------------------------------------

BRASS, STEEL, OAK, SOIL = "#b98d4f", "#8b8a86", "#b98b5e", "#4a372b"
WARM = "#ffd58a"


def bow_lamp(colour: str) -> str:
    stem = "M196 414 C176 262 196 104 300 104 C338 104 352 128 354 150"
    shade = "M294 224 C296 172 322 146 354 146 C386 146 412 172 414 224 C394 232 314 232 294 224 Z"
    base = vessel([(58, 408), (66, 414), (68, 424)], 196)
    return (
        ground(196, 150)
        + glow(354, 262, 118, WARM, 0.62)
        + tube(stem, 9, BRASS)
        + solid(base, colour, left=128, width=136, gloss=0.35)
        + solid(shade, colour, left=294, width=120)
        + '<ellipse cx="354" cy="225" rx="59" ry="9" fill="#fff1cf"/>'
        + blurred('<ellipse cx="354" cy="226" rx="40" ry="6" fill="#ffffff"/>', 3)
    )


def dune_lamp(colour: str) -> str:
    dome = "M112 226 C112 128 168 84 240 84 C312 84 368 128 368 226 C330 242 150 242 112 226 Z"
    foot = vessel([(34, 228), (36, 300), (52, 372), (82, 416), (86, 424)])
    return (
        ground(240, 200)
        + glow(240, 286, 130, WARM, 0.55)
        + solid(foot, colour, left=154, width=172, gloss=0.4)
        + blurred('<ellipse cx="240" cy="258" rx="62" ry="26" fill="#ffe3a8" opacity="0.75"/>', 12)
        + solid(dome, colour, left=112, width=256, bottom=0.22)
        + '<ellipse cx="240" cy="229" rx="124" ry="10" fill="#ffeec7" opacity="0.95"/>'
    )


def halo_lamp(colour: str) -> str:
    globe = "M240 78 m-104 104 a104 104 0 1 0 208 0 a104 104 0 1 0 -208 0 Z"
    foot = vessel([(30, 290), (34, 330), (74, 404), (80, 424)])
    name = f"h{next(_ids)}"
    orb = (
        f'<defs><radialGradient id="{name}" cx="0.42" cy="0.4" r="0.66"><stop offset="0" stop-color="#fffdf6"/>'
        f'<stop offset="0.55" stop-color="#ffefc9"/><stop offset="1" stop-color="#e9c98d"/></radialGradient></defs>'
        f'<path d="{globe}" fill="url(#{name})"/>'
    )
    return (
        ground(240, 184)
        + glow(240, 182, 200, "#ffd993", 0.62)
        + solid(foot, colour, left=160, width=160)
        + solid(vessel([(38, 276), (40, 296)]), BRASS, left=200, width=80)
        + orb
        + blurred('<ellipse cx="206" cy="138" rx="34" ry="24" fill="#ffffff" opacity="0.8"/>', 9)
    )


def lantern(colour: str) -> str:
    """A paper lantern on its cord."""
    shape = "M240 132 m-132 112 a132 112 0 1 0 264 0 a132 112 0 1 0 -264 0 Z"
    name, clip = f"p{next(_ids)}", f"c{next(_ids)}"
    ribs = "".join(
        f'<ellipse cx="240" cy="{y}" rx="{132 * math.sqrt(max(0.0, 1 - ((y - 244) / 112) ** 2)) + 2:.1f}" ry="7" fill="none" stroke="{dark(colour, 0.34)}" stroke-width="1.3" opacity="0.34"/>'
        for y in range(146, 350, 14)
    )
    return (
        tube("M240 -6 L240 128", 4, "#3b3631")
        + glow(240, 244, 226, "#ffdda0", 0.5)
        + f'<defs><radialGradient id="{name}" cx="0.45" cy="0.46" r="0.62"><stop offset="0" stop-color="{mixed(colour, "#fff6dc", 0.78)}"/>'
        f'<stop offset="0.62" stop-color="{mixed(colour, "#ffe9bd", 0.4)}"/><stop offset="1" stop-color="{dark(colour, 0.16)}"/></radialGradient>'
        f'<clipPath id="{clip}"><path d="{shape}"/></clipPath></defs><path d="{shape}" fill="url(#{name})"/><g clip-path="url(#{clip})">{ribs}</g>'
        + '<ellipse cx="240" cy="133" rx="34" ry="7" fill="#3b3631"/><ellipse cx="240" cy="355" rx="34" ry="6" fill="#3b3631" opacity="0.85"/>'
    )


def reading_lamp(colour: str) -> str:
    """A jointed desk lamp."""
    base = vessel([(60, 410), (70, 416), (72, 426)], 172)
    head = "M268 122 C288 92 330 84 352 104 L398 178 C372 206 320 226 296 224 Z"
    return (
        ground(172, 160)
        + glow(372, 256, 110, WARM, 0.6)
        + tube("M172 412 L128 268 L288 140", 10, STEEL)
        + f'<circle cx="128" cy="268" r="13" fill="{dark(colour, 0.15)}"/><circle cx="126" cy="266" r="6" fill="{light(colour, 0.5)}"/>'
        + solid(base, colour, left=100, width=144)
        + solid(head, colour, left=268, width=134, shade=0.4)
        + '<ellipse cx="347" cy="202" rx="58" ry="16" transform="rotate(-25 347 202)" fill="#fff0cb"/>'
    )


# --- ceramics ----------------------------------------------------------------------------------


def tide_vase(colour: str) -> str:
    profile = [(40, 84), (34, 118), (44, 168), (92, 244), (106, 318), (84, 392), (62, 424)]
    band = f'<path d="M100 300 C180 276 280 330 380 296 L380 330 C280 362 180 308 100 334 Z" fill="{light(colour, 0.55)}" opacity="0.85"/>'
    return (
        ground(240, 190)
        + solid(vessel(profile), colour, left=134, width=212, inside=band)
        + rim(240, 84, 40, 8, colour)
    )


def moon_vase(colour: str) -> str:
    """A ring that stands on its edge."""
    ring = "M240 148 a136 136 0 1 1 -0.1 0 Z M240 226 a58 58 0 1 0 0.1 0 Z"
    neck = vessel([(40, 96), (30, 122), (42, 158)])
    name = f"n{next(_ids)}"
    hole = (
        f'<defs><linearGradient id="{name}" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="{dark(colour, 0.42)}"/>'
        f'<stop offset="1" stop-color="{light(colour, 0.2)}"/></linearGradient></defs>'
        f'<circle cx="240" cy="284" r="57" fill="none" stroke="url(#{name})" stroke-width="9"/>'
    )
    return (
        ground(240, 190)
        + solid(neck, colour, left=200, width=80, bottom=0.1)
        + solid(
            ring,
            colour,
            left=104,
            width=272,
            inside=speckles(dark(colour, 0.6), (100, 140, 280, 280), 90, 7),
        ).replace("<path d", '<path fill-rule="evenodd" clip-rule="evenodd" d')
        + hole
        + rim(240, 96, 40, 8, colour)
    )


def shore_bowl(colour: str) -> str:
    profile = [(158, 262), (152, 308), (112, 376), (66, 410), (62, 424)]
    dots = speckles(dark(colour, 0.65), (80, 262, 320, 160), 130, 3)
    return (
        ground(240, 190)
        + solid(vessel(profile), colour, left=82, width=316, inside=dots)
        + rim(240, 262, 158, 34, colour, deep=0.34)
        + blurred('<ellipse cx="196" cy="276" rx="70" ry="10" fill="#ffffff" opacity="0.22"/>', 6)
    )


def morning_mug(colour: str) -> str:
    profile = [(98, 168), (100, 260), (98, 350), (84, 414), (76, 424)]
    handle = "M330 214 C408 204 418 340 326 346"
    glaze = f'<path d="M120 330 C170 346 310 318 360 336 L360 440 L120 440 Z" fill="{mixed("#d8c2a3", colour, 0.1)}"/>'
    return (
        ground(246, 210)
        + tube(handle, 26, colour)
        + solid(vessel(profile), colour, left=140, width=200, inside=glaze)
        + rim(240, 168, 98, 20, colour, deep=0.4)
    )


def kelda_jug(colour: str) -> str:
    profile = [(64, 128), (52, 172), (70, 240), (104, 320), (98, 392), (78, 424)]
    lip = "M178 134 C162 126 152 114 148 100 C166 108 184 114 226 117 L226 150 Z"
    handle = "M296 160 C392 150 402 306 330 340"
    return (
        ground(244, 210)
        + tube(handle, 20, colour)
        + solid(lip, colour, left=148, width=78, gloss=0.2, shade=0.0, bottom=0.1)
        + solid(vessel(profile), colour, left=136, width=208)
        + rim(240, 128, 64, 13, colour)
    )


# --- plants ------------------------------------------------------------------------------------


def pot(colour: str, top: float = 306, half: float = 82) -> str:
    """A pot with soil in it."""
    profile = [(half, top), (half * 0.96, top + 40), (half * 0.8, 412), (half * 0.74, 424)]
    return (
        solid(vessel(profile), colour, left=240 - half, width=2 * half)
        + rim(240, top, half, half * 0.17, colour, deep=0.4)
        + f'<ellipse cx="240" cy="{top + 2}" rx="{half - 8}" ry="{half * 0.11}" fill="{SOIL}"/>'
    )


def rubber_fig(colour: str) -> str:
    green = "#3e6b4b"
    back = leaf(240, 236, 130, 62, -62, dark(green, 0.2)) + leaf(
        240, 226, 136, 64, 58, dark(green, 0.2)
    )
    stem = tube("M240 308 C236 240 244 180 240 120", 7, "#6d5540")
    front = (
        leaf(240, 262, 128, 66, -34, green)
        + leaf(240, 250, 132, 66, 32, light(green, 0.08))
        + leaf(240, 188, 118, 60, -46, light(green, 0.1))
        + leaf(240, 180, 116, 58, 44, green)
        + leaf(240, 134, 100, 48, -12, light(green, 0.18))
        + leaf(240, 132, 88, 40, 22, light(green, 0.06))
    )
    return ground(240, 170) + back + stem + front + pot(colour)


def snake_plant(colour: str) -> str:
    blades = ""
    for x, length, width, angle in (
        (216, 214, 36, -17),
        (266, 222, 36, 15),
        (228, 250, 38, -6),
        (254, 264, 38, 5),
        (206, 150, 30, -30),
        (274, 156, 30, 28),
        (240, 190, 36, -1),
    ):
        half = width / 2
        path = f"M{-half * 0.7} 0 C{-half * 1.1} {-length * 0.5} {-half * 0.8} {-length * 0.8} 0 {-length} C{half * 0.8} {-length * 0.8} {half * 1.1} {-length * 0.5} {half * 0.7} 0 Z"
        inner = f"M{-half * 0.34} 0 C{-half * 0.7} {-length * 0.5} {-half * 0.42} {-length * 0.78} 0 {-length * 0.94} C{half * 0.42} {-length * 0.78} {half * 0.7} {-length * 0.5} {half * 0.34} 0 Z"
        definition, fill = gradient((0, "#4f7d5a"), (0.5, "#3b6549"), (1, "#27493a"))
        clip = f"c{next(_ids)}"
        bands = "".join(
            f'<path d="M-40 {-y} q20 -8 40 0 t40 0" stroke="#86ab83" stroke-width="3" opacity="0.4" fill="none"/>'
            for y in range(14, int(length), 22)
        )
        blades += (
            f'<g transform="translate({x} 312) rotate({angle})"><path d="{path}" fill="#c2c58a"/>{definition}<path d="{inner}" fill="{fill}"/>'
            f'<defs><clipPath id="{clip}"><path d="{inner}"/></clipPath></defs><g clip-path="url(#{clip})">{bands}</g></g>'
        )
    return ground(240, 180) + blades + pot(colour, 300, 88)


def olive_tree(colour: str) -> str:
    chance = random.Random(21)
    green = "#74876a"
    crown = ""
    twigs = tube("M240 306 C238 250 232 220 240 168", 7, "#7a6450") + tube(
        "M238 232 C262 210 276 190 288 158", 4, "#7a6450"
    )
    twigs += tube("M238 250 C214 224 204 204 194 172", 4, "#7a6450")
    for number in range(78):
        angle, reach = chance.random() * math.tau, math.sqrt(chance.random())
        x, y = 240 + math.cos(angle) * reach * 92, 148 + math.sin(angle) * reach * 80
        tone = mixed(dark(green, 0.22), light(green, 0.34), number / 78)
        crown += leaf(
            x,
            y,
            36 + chance.random() * 14,
            11,
            math.degrees(math.atan2(x - 240, 190 - y)) + chance.uniform(-36, 36),
            tone,
            vein=False,
        )
    olives = "".join(
        f'<ellipse cx="{x}" cy="{y}" rx="6" ry="8" fill="#4c4a3a"/><ellipse cx="{x - 2}" cy="{y - 3}" rx="1.8" ry="2.4" fill="#cfcab0" opacity="0.8"/>'
        for x, y in ((196, 176), (282, 186), (240, 116), (306, 138), (178, 128))
    )
    return ground(240, 170) + twigs + crown + olives + pot(colour, 304, 78)


def string_cactus(colour: str) -> str:
    """A column cactus with two arms and a flower."""
    green = "#5d8a63"
    column = "M206 312 L206 150 C206 104 274 104 274 150 L274 312 Z"
    left = "M208 256 C160 258 150 236 150 196 C150 172 180 172 180 196 C180 220 188 226 208 224 Z"
    right = "M272 232 C318 234 330 212 330 176 C330 152 300 152 300 176 C300 196 292 202 272 200 Z"
    ridges = "".join(
        f'<path d="M{x} 320 L{x} 128" stroke="{dark(green, 0.35)}" stroke-width="2.4" opacity="0.45"/>'
        for x in (219, 233, 247, 261)
    )
    spines = "".join(
        f'<path d="M{x} {y} l-4 -5 M{x} {y} l4 -5" stroke="#f3ecd6" stroke-width="1.6" opacity="0.9"/>'
        for x in (212, 226, 240, 254, 268)
        for y in range(150, 300, 24)
    )
    petals = "".join(
        leaf(240, 116, 30, 16, angle, "#e08a7d", vein=False) for angle in (-62, -32, 0, 32, 62)
    )
    return (
        ground(240, 180)
        + solid(left, green, left=150, width=60, gloss=0.35)
        + solid(right, green, left=270, width=62, gloss=0.35)
        + solid(column, green, left=206, width=68, inside=ridges, gloss=0.4)
        + spines
        + petals
        + pot(colour, 306, 84)
    )


# --- textiles ----------------------------------------------------------------------------------


def weave(colour: str, box: tuple[float, float, float, float], step: float = 7) -> str:
    """Threads."""
    x, y, width, height = box
    across = "".join(
        f'<path d="M{x} {at:.1f} h{width}" stroke="{dark(colour, 0.5)}" stroke-width="1" opacity="0.16"/>'
        for at in _steps(y, y + height, step)
    )
    down = "".join(
        f'<path d="M{at:.1f} {y} v{height}" stroke="{light(colour, 0.7)}" stroke-width="1" opacity="0.2"/>'
        for at in _steps(x, x + width, step)
    )
    return across + down


def _steps(first: float, last: float, step: float) -> Iterator[float]:
    at = first
    while at < last:
        yield at
        at += step


def linen_cushion(colour: str) -> str:
    shape = "M92 128 C150 112 330 112 388 128 C404 190 404 342 390 402 C330 420 150 420 90 402 C76 342 76 190 92 128 Z"
    fold = (
        blurred(
            f'<path d="M92 128 C140 170 160 200 176 236" stroke="{dark(colour, 0.6)}" stroke-width="14" fill="none" opacity="0.3"/>',
            9,
        )
        + blurred(
            f'<path d="M388 128 C340 170 322 196 306 232" stroke="{dark(colour, 0.6)}" stroke-width="14" fill="none" opacity="0.3"/>',
            9,
        )
        + blurred(
            f'<path d="M90 402 C136 372 150 352 166 320" stroke="{dark(colour, 0.6)}" stroke-width="14" fill="none" opacity="0.3"/>',
            9,
        )
        + blurred(
            f'<path d="M390 402 C344 372 330 350 316 318" stroke="{dark(colour, 0.6)}" stroke-width="14" fill="none" opacity="0.3"/>',
            9,
        )
        + blurred('<ellipse cx="212" cy="214" rx="86" ry="58" fill="#fff8ea" opacity="0.3"/>', 26)
    )
    stripe = f'<path d="M84 300 C180 314 300 314 398 300 M84 318 C180 332 300 332 398 318 M84 336 C180 350 300 350 398 336" stroke="{light(colour, 0.66)}" stroke-width="5" fill="none" opacity="0.9"/>'
    seam = f'<path d="{shape}" fill="none" stroke="{dark(colour, 0.3)}" stroke-width="3" opacity="0.45"/>'
    return (
        ground(240, 290, 412)
        + solid(
            shape,
            colour,
            left=76,
            width=330,
            gloss=0.16,
            shade=0.5,
            inside=weave(colour, (70, 100, 340, 330)) + stripe + fold,
        )
        + seam
    )


def wool_throw(colour: str) -> str:
    """A blanket over an oak rail."""
    shape = "M112 112 C120 96 360 96 368 112 C376 190 366 280 374 372 C352 380 332 370 308 377 C284 384 262 370 240 376 C216 382 194 370 170 377 C146 383 128 372 106 376 C114 280 104 190 112 112 Z"
    bands = "".join(
        f'<path d="M90 {y} q75 10 150 0 t150 0" stroke="{tone}" stroke-width="{width}" fill="none" opacity="0.9"/>'
        for y, width, tone in (
            (300, 20, light(colour, 0.62)),
            (330, 5, light(colour, 0.62)),
            (272, 5, dark(colour, 0.32)),
        )
    )
    folds = "".join(
        blurred(
            f'<path d="M{x} 108 C{x + 6} 200 {x - 8} 290 {x + 4} 384" stroke="{tone}" stroke-width="{width}" fill="none" opacity="{strength}"/>',
            8,
        )
        for x, width, tone, strength in (
            (138, 16, "#fff8ea", 0.34),
            (176, 16, dark(colour, 0.7), 0.34),
            (214, 20, "#fff8ea", 0.3),
            (262, 16, dark(colour, 0.7), 0.32),
            (300, 18, "#fff8ea", 0.24),
            (346, 22, dark(colour, 0.7), 0.4),
        )
    )
    fringe = "".join(
        f'<path d="M{x} {374 + 3 * math.sin(x / 20):.0f} q{(-3, 3)[i % 2]} 16 {(1, -1)[i % 2]} 34" stroke="{mixed(light(colour, 0.35), dark(colour, 0.15), i % 3 / 2)}" stroke-width="4.6" fill="none" stroke-linecap="round"/>'
        for i, x in enumerate(range(111, 372, 9))
    )
    wall = blurred('<path d="M130 130 H380 V400 H130 Z" fill="#2b2118" opacity="0.26"/>', 14)
    return (
        wall
        + tube("M64 108 L416 108", 18, OAK)
        + fringe
        + solid(
            shape,
            colour,
            left=60,
            width=380,
            gloss=0.0,
            shade=0.2,
            bottom=0.18,
            inside=weave(colour, (90, 96, 300, 290), 5) + bands + folds,
        )
        + blurred(
            '<path d="M118 112 C180 104 300 104 362 112" stroke="#fff8ea" stroke-width="7" fill="none" opacity="0.4"/>',
            4,
        )
    )


def round_rug(colour: str) -> str:
    rings = "".join(
        f'<ellipse cx="240" cy="306" rx="{rx}" ry="{rx * 0.46:.0f}" fill="none" stroke="{tone}" stroke-width="{width}"/>'
        for rx, tone, width in (
            (184, light(colour, 0.55), 10),
            (150, dark(colour, 0.3), 6),
            (118, light(colour, 0.55), 14),
            (82, dark(colour, 0.25), 6),
            (50, light(colour, 0.5), 10),
        )
    )
    threads = "".join(
        f'<ellipse cx="240" cy="306" rx="{rx}" ry="{rx * 0.46:.1f}" fill="none" stroke="{dark(colour, 0.6)}" stroke-width="0.8" opacity="0.25"/>'
        for rx in range(8, 204, 6)
    )
    tassels = "".join(
        f'<path d="M{240 + 202 * math.cos(a):.1f} {306 + 93 * math.sin(a):.1f} l{13 * math.cos(a):.1f} {9 * math.sin(a) + 3:.1f}" stroke="{light(colour, 0.5)}" stroke-width="4" stroke-linecap="round"/>'
        for a in (i * math.tau / 72 for i in range(72))
    )
    definition, fill = gradient((0, light(colour, 0.22)), (1, dark(colour, 0.2)), x2=1, y2=0.6)
    return (
        blurred('<ellipse cx="250" cy="322" rx="206" ry="94" fill="#2b2118" opacity="0.34"/>', 9)
        + tassels
        + f'{definition}<ellipse cx="240" cy="310" rx="203" ry="93" fill="{dark(colour, 0.4)}"/><ellipse cx="240" cy="306" rx="202" ry="92" fill="{fill}"/>'
        + rings
        + threads
    )


def pouf(colour: str) -> str:
    shape = "M82 318 C82 232 150 196 240 196 C330 196 398 232 398 318 C398 390 350 424 240 424 C130 424 82 390 82 318 Z"
    ribs = "".join(
        f'<path d="M240 200 C{240 + x * 0.55:.0f} 206 {240 + x} 250 {240 + x} 318 C{240 + x} 380 {240 + x * 0.8:.0f} 412 {240 + x * 0.5:.0f} 426" fill="none" stroke="{dark(colour, 0.55)}" stroke-width="5" opacity="0.34"/>'
        f'<path d="M{240 + 6} 200 C{246 + x * 0.55:.0f} 206 {246 + x} 250 {246 + x} 318 C{246 + x} 380 {246 + x * 0.8:.0f} 412 {246 + x * 0.5:.0f} 426" fill="none" stroke="{light(colour, 0.6)}" stroke-width="3" opacity="0.3"/>'
        for x in (-132, -94, -50, 0, 50, 94, 132)
    )
    knit = "".join(
        f'<path d="M70 {y} q14 9 28 0 t28 0 t28 0 t28 0 t28 0 t28 0 t28 0 t28 0 t28 0 t28 0 t28 0 t28 0" fill="none" stroke="{dark(colour, 0.5)}" stroke-width="1.6" opacity="0.2"/>'
        for y in range(206, 424, 11)
    )
    button = f'<ellipse cx="240" cy="203" rx="17" ry="6" fill="{dark(colour, 0.35)}"/><ellipse cx="238" cy="201" rx="14" ry="4.4" fill="{light(colour, 0.15)}"/>'
    return (
        ground(240, 300, 420)
        + solid(shape, colour, left=82, width=316, gloss=0.22, inside=knit + ribs, bottom=0.5)
        + button
    )


DRAWINGS: dict[str, Callable[[str], str]] = {
    "bow-lamp": bow_lamp,
    "dune-lamp": dune_lamp,
    "halo-lamp": halo_lamp,
    "paper-lantern": lantern,
    "reading-lamp": reading_lamp,
    "tide-vase": tide_vase,
    "moon-vase": moon_vase,
    "shore-bowl": shore_bowl,
    "morning-mug": morning_mug,
    "kelda-jug": kelda_jug,
    "rubber-fig": rubber_fig,
    "snake-plant": snake_plant,
    "olive-tree": olive_tree,
    "column-cactus": string_cactus,
    "linen-cushion": linen_cushion,
    "wool-throw": wool_throw,
    "round-rug": round_rug,
    "knit-pouf": pouf,
}


def still_life() -> str:
    """The picture of the shop window: an arch, and what stands in it."""
    wall, fill = gradient((0, "#f3e2c9"), (1, "#d8b68c"), x2=0.35, y2=1)

    def placed(content: str, x: float, y: float, scale: float) -> str:
        return f'<g transform="translate({x} {y}) scale({scale})">{content}</g>'

    clip = f"c{next(_ids)}"
    arch = "M160 620 L160 330 A240 240 0 0 1 640 330 L640 620 Z"
    shelf = '<rect x="70" y="606" width="660" height="22" rx="11" fill="#b98557"/><rect x="70" y="606" width="660" height="10" rx="5" fill="#d7ad7d"/>'
    dusk = blurred(
        '<path d="M-40 620 L-40 -60 L330 -60 C180 160 210 420 300 620 Z" fill="#7a5327" opacity="0.2"/>',
        26,
    )
    return (
        f'{wall}<path d="{arch}" fill="{fill}"/><defs><clipPath id="{clip}"><path d="{arch}"/></clipPath></defs>'
        f'<g clip-path="url(#{clip})">{dusk}</g>'
        + shelf
        + placed(rubber_fig("#ece5d8"), 276, 110, 1.16)
        + placed(dune_lamp("#c4633f"), 66, 212, 0.92)
        + placed(shore_bowl("#e6ded0"), 252, 396, 0.5)
        + placed(tide_vase("#3c5f94"), 446, 296, 0.73)
    )


def rendered(content: str, width: int, height: int, box: str) -> Image.Image:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="{box}">{content}</svg>'
    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")


def tight_box(content: str) -> str:
    """Give the square that the thing fills well: its glow and its shadow may reach the edge."""
    image = rendered(content, SIZE, SIZE, f"0 0 {SIZE} {SIZE}")
    left, top, right, bottom = (
        image.getchannel("A").point(lambda a: 255 if a > 150 else 0).getbbox()
    )
    edge = max(right - left, bottom - top) * 1.2
    x, y = (left + right) / 2 - edge / 2, (top + bottom) / 2 - edge / 2
    return f"{x:.0f} {y:.0f} {edge:.0f} {edge:.0f}"


def picture(content: str, width: int, height: int, box: str, colours: int) -> bytes:
    """Render SVG to a small PNG."""
    image = rendered(content, width, height, box)
    small = imagequant.quantize_pil_image(image, dithering_level=0.9, max_colors=colours)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return bytes(
        oxipng.optimize_from_memory(out.getvalue(), level=6, strip=oxipng.StripChunks.safe())
    )


def main() -> None:
    """Draw what is named, or everything."""
    wanted = set(sys.argv[1:])
    products = json.loads((SHOP / "model" / "products.json").read_text(encoding="utf-8"))
    folder = SHOP / "assets" / "products"
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for product in products:
        for variant, entry in product["variants"].items():
            file = folder / f"{product['id']}-{variant}.png"
            if not wanted or product["id"] in wanted:
                drawn = DRAWINGS[product["id"]](entry["colour"])
                file.write_bytes(picture(drawn, SIZE, SIZE, tight_box(drawn), COLOURS_MAX))
            total += file.stat().st_size
    hero = SHOP / "assets" / "hero.png"
    if not wanted or "hero" in wanted:
        hero.write_bytes(picture(still_life(), 960, 780, "40 60 720 585", 200))
    total += hero.stat().st_size
    print(f"{total / 1024:,.0f} KB of pictures")


if __name__ == "__main__":
    main()
