"""Draws `assets/card.png`, the preview of a link: 1200 by 630, four colours.

The colours in the file are placeholders: `extras::card` replaces its palette. Run
`python art/card.py assets/card.png`.
"""

import struct
import sys
import zlib

WIDTH, HEIGHT = 1200, 630
# brand, accent, second, brand-soft
PALETTE = bytes([0x4B, 0x3F, 0x8F, 0xF4, 0xA2, 0x61, 0x22, 0x22, 0x33, 0xEE, 0xEE, 0xF8])
BRAND, ACCENT, SECOND, SOFT = range(4)


def colour(x, y):
    """The drawing: three by two tiles of 315 on the right, the brand's colour on the left."""
    if x < 570:
        return BRAND
    column, row = divmod(x - 570, 315)[0], y // 315
    dx, dy = (x - 570) % 315, y % 315
    match column, row:
        case 0, 0:
            return ACCENT if dx * dx + dy * dy < 315 * 315 else SECOND
        case 0, 1:
            return SOFT if (dx - 157) ** 2 + (dy - 157) ** 2 < 110 * 110 else BRAND
        case 1, 0:
            return SECOND if dx // 45 % 2 else SOFT
        case _:
            return SECOND if dx + dy < 315 else ACCENT


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


rows = bytearray()
for y in range(HEIGHT):
    rows.append(0)
    for x in range(0, WIDTH, 4):
        rows.append(sum(colour(x + at, y) << (6 - 2 * at) for at in range(4)))
with open(sys.argv[1], "wb") as file:
    file.write(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 2, 3, 0, 0, 0))
        + chunk(b"PLTE", PALETTE)
        + chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + chunk(b"IEND", b"")
    )
