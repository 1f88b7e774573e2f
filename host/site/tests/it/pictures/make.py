"""Makes the pictures of this folder, which the tests of `images.rs` read. Needs Pillow 13."""

from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A gradient with a pattern that does not compress to nothing."""
    image = Image.new("RGB", (width, height))
    image.putdata(
        [
            ((x * 5 + y * 3) % 256, (x * y * 7) % 256, (x * x + y * 11) % 256)
            for y in range(height)
            for x in range(width)
        ]
    )
    return image.convert(mode)


def opaque_below(image: Image.Image) -> Image.Image:
    """The picture with an upper part that can be seen through."""
    alpha = Image.new("L", image.size)
    alpha.putdata([min(255, y * 8) for y in range(image.height) for _ in range(image.width)])
    image = image.convert("RGB")
    image.putalpha(alpha)
    return image


def save(name: str, image: Image.Image, **options: object) -> None:
    image.save(HERE / name, **options)


small, tall = picture(24, 24), picture(40, 56)
save("baseline.jpg", tall, quality=40)
save("progressive.jpg", tall, quality=40, progressive=True)
save("gray-restarts.jpg", picture(40, 56, "L"), quality=40, restart_marker_rows=1)
save("cmyk.jpg", picture(40, 56, "CMYK"), quality=20)
save("still.gif", small)
save("moving.gif", small, save_all=True, append_images=[small.rotate(90)], duration=100)
save("lossy.webp", tall, quality=40)
save("lossless-alpha.webp", opaque_below(small), lossless=True)
save("lossy-alpha.webp", opaque_below(small), quality=40)
save("moving.webp", small, save_all=True, append_images=[small.rotate(90)], quality=40)
