"""Draws `assets/icons.bin`, the app icons of sites: a letter or digit on a plain square.

Each icon is a PNG of 16 shades, from the background (0) to the letter (15). The colours in the file
are placeholders: templates replace the palette by that of the brand, as with `card.png`. The file
is a sequence of records: the letter (1 byte, a blank is the mark of names without a Latin letter),
the side in pixels (2 bytes), the length of the PNG (4 bytes), all big-endian, and the PNG.

Run `python art/icons.py assets/icons.bin`, and copy the file to the other templates.
"""

import math
import struct
import sys
import zlib

SIDES = [180, 192, 512]
"""Of `apple-touch-icon.png`, and of the two icons that a web app manifest needs."""

CAP = 0.4
"""Height of a letter as a part of the side: all of it is in the safe zone of a maskable icon."""

STROKE = 1.15
"""Width of a line. Letters are 7 high, with y pointing down."""


def arc(x, y, width, height, start, end):
    """Points of an ellipse from one angle to another, in degrees, clockwise from the right."""
    steps = max(2, round(abs(end - start) / 4))
    angles = [math.radians(start + (end - start) * at / steps) for at in range(steps + 1)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


def ring(x, y, width, height):
    return arc(x, y, width, height, 0, 360)


BOWL = [(0, 0), *arc(2.4, 1.95, 1.95, 1.95, -90, 90), (0, 3.9)]
LETTERS = {
    "A": [[(0, 7), (2.8, 0), (5.6, 7)], [(1, 4.6), (4.6, 4.6)]],
    "B": [
        [(0, 3.4), (0, 0), *arc(2.2, 1.7, 1.7, 1.7, -90, 90), (0, 3.4)],
        [(0, 3.4), *arc(2.5, 5.2, 1.8, 1.8, -90, 90), (0, 7), (0, 3.4)],
    ],
    "C": [arc(3.4, 3.5, 3.4, 3.5, -48, -312)],
    "D": [[(0, 0), *arc(2, 3.5, 3.4, 3.5, -90, 90), (0, 7), (0, 0)]],
    "E": [[(4.2, 0), (0, 0), (0, 7), (4.2, 7)], [(0, 3.4), (3.7, 3.4)]],
    "F": [[(4.2, 0), (0, 0), (0, 7)], [(0, 3.5), (3.6, 3.5)]],
    "G": [[*arc(3.4, 3.5, 3.4, 3.5, -48, -357), (3.9, 3.7)]],
    "H": [[(0, 0), (0, 7)], [(5.2, 0), (5.2, 7)], [(0, 3.5), (5.2, 3.5)]],
    "I": [[(0, 0), (0, 7)]],
    "J": [[(3.4, 0), *arc(1.7, 5.2, 1.7, 1.8, 0, 165)]],
    "K": [[(0, 0), (0, 7)], [(4.5, 0), (0, 4.3)], [(1.6, 2.8), (4.9, 7)]],
    "L": [[(0, 0), (0, 7), (4, 7)]],
    "M": [[(0, 7), (0, 0), (3.2, 4.6), (6.4, 0), (6.4, 7)]],
    "N": [[(0, 7), (0, 0), (5.2, 7), (5.2, 0)]],
    "O": [ring(3.5, 3.5, 3.5, 3.5)],
    "P": [[(0, 7), *BOWL]],
    "Q": [ring(3.5, 3.5, 3.5, 3.5), [(4.5, 4.7), (6.9, 7.3)]],
    "R": [[(0, 7), *BOWL], [(2.1, 3.9), (4.7, 7)]],
    "S": [[*arc(2.3, 1.8, 2.1, 1.8, -25, -270), *arc(2.3, 5.3, 2.3, 1.7, -90, 155)]],
    "T": [[(0, 0), (5.2, 0)], [(2.6, 0), (2.6, 7)]],
    "U": [[(0, 0), *arc(2.6, 4.4, 2.6, 2.6, 180, 0), (5.2, 0)]],
    "V": [[(0, 0), (2.8, 7), (5.6, 0)]],
    "W": [[(0, 0), (2, 7), (4, 0.6), (6, 7), (8, 0)]],
    "X": [[(0, 0), (5, 7)], [(5, 0), (0, 7)]],
    "Y": [[(0, 0), (2.6, 3.8), (5.2, 0)], [(2.6, 3.8), (2.6, 7)]],
    "Z": [[(0, 0), (4.7, 0), (0, 7), (4.8, 7)]],
    "0": [ring(2.5, 3.5, 2.5, 3.5)],
    "1": [[(0, 1.5), (1.9, 0), (1.9, 7)]],
    "2": [[*arc(2.2, 2.1, 2.1, 2.1, -165, 35), (0.1, 7), (4.5, 7)]],
    "3": [[*arc(2, 1.7, 1.9, 1.7, -155, 90), *arc(2, 5.2, 2.1, 1.8, -90, 155)]],
    "4": [[(3.4, 7), (3.4, 0), (0, 4.9), (4.7, 4.9)]],
    "5": [[(4.1, 0), (0.6, 0), *arc(2.1, 4.8, 2.2, 2.2, -135, 145)]],
    "6": [ring(2.3, 4.8, 2.2, 2.2), [(3.5, 0), (0.5, 3.9)]],
    "7": [[(0, 0), (4.5, 0), (1.5, 7)]],
    "8": [ring(2.2, 1.7, 1.75, 1.7), ring(2.2, 5.2, 2.1, 1.8)],
    "9": [ring(2.3, 2.2, 2.2, 2.2), [(1.1, 7), (4.1, 3.1)]],
}


def letter(lines, side):
    """The shades of an icon with these lines in its middle, row by row."""
    scale = CAP * side / 7
    xs = [x for line in lines for x, _ in line]
    ys = [y for line in lines for _, y in line]
    left = side / 2 - scale * (min(xs) + max(xs)) / 2
    top = side / 2 - scale * (min(ys) + max(ys)) / 2
    half = STROKE * scale / 2
    rows = [[0] * side for _ in range(side)]
    for line in lines:
        points = [(left + x * scale, top + y * scale) for x, y in line]
        for (ax, ay), (bx, by) in zip(points, points[1:]):
            around = half + 1
            length = (bx - ax) ** 2 + (by - ay) ** 2
            for y in range(int(min(ay, by) - around), int(max(ay, by) + around) + 1):
                for x in range(int(min(ax, bx) - around), int(max(ax, bx) + around) + 1):
                    px, py = x + 0.5 - ax, y + 0.5 - ay
                    part = (px * (bx - ax) + py * (by - ay)) / length if length else 0
                    part = min(max(part, 0), 1)
                    gap = math.hypot(px - part * (bx - ax), py - part * (by - ay))
                    rows[y][x] = max(rows[y][x], shade(half - gap))
    return rows


def mark(side):
    """A leaf, for names without a Latin letter: what two circles have in common."""
    size, rows = CAP * side, []
    start, end = (side - size) / 2, (side + size) / 2
    for y in range(side):
        gaps = [
            (x + 0.5, size - math.hypot(x + 0.5 - a, y + 0.5 - b))
            for x in range(side)
            for a, b in [(start, end), (end, start)]
        ]
        rows.append([shade(min(gaps[at][1], gaps[at + 1][1])) for at in range(0, len(gaps), 2)])
    return rows


def shade(inside):
    """The shade of a pixel whose middle is so far inside of a shape."""
    return round(15 * min(max(inside + 0.5, 0), 1))


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(rows):
    packed, above = bytearray(), bytes(len(rows) // 2)
    for row in rows:
        line = bytes(row[at] << 4 | row[at + 1] for at in range(0, len(row), 2))
        # The difference from the row above: most rows are like it.
        packed += bytes([2, *((one - other) & 255 for one, other in zip(line, above))])
        above = line
    placeholders = bytes(17 * shade for shade in range(16) for _ in range(3))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", len(rows), len(rows), 4, 3, 0, 0, 0))
        + chunk(b"PLTE", placeholders)
        + chunk(b"IDAT", zlib.compress(bytes(packed), 9))
        + chunk(b"IEND", b"")
    )


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as file:
        for name, lines in [(" ", None), *sorted(LETTERS.items())]:
            for side in SIDES:
                icon = png(letter(lines, side) if lines else mark(side))
                file.write(name.encode() + struct.pack(">HI", side, len(icon)) + icon)
