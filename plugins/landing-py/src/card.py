"""The picture that shows when somebody shares a link to the site."""

from pathlib import Path

# Read at build time: a component has no file system at run time.
ORIGINAL = (Path(__file__).parent / "card.png").read_bytes()

PALETTE = 33
"""The chunk of the palette follows the signature and the chunk of the image's size."""


def card(shades) -> bytes:
    """The picture as PNG of 1200 by 630: `card.png` with the brand's colours as its palette."""
    return recoloured(ORIGINAL, [shades[name] for name in ("brand", "accent", "deep", "tint")])


def recoloured(original: bytes, colours) -> bytes:
    """A PNG with other colours, as many as its palette has."""
    chunk = b"PLTE" + bytes(channel for colour in colours for channel in colour)
    chunk += crc(chunk).to_bytes(4)
    start = PALETTE + 4
    return original[:start] + chunk + original[start + len(chunk) :]


def crc(data: bytes) -> int:
    """CRC-32 as PNG has it."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
