"""Thumbnails of many samples on a few sheets, within a limit of bytes."""

import base64
import io
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, WebPImagePlugin  # noqa: F401 (else Pillow loads all formats to find it)

PER_ROW = 32
PER_SHEET = 32 * PER_ROW
LARGEST = 64
"""Pixels of the longer side, unless more are asked for."""

QUALITIES = (None, 80, 50)
"""Of WebP, tried in this order until the sheets fit; None is lossless."""


class Sprites(NamedTuple):
    """Sheets of PER_ROW thumbnails a row; thumbnail k is number k % PER_SHEET of its sheet."""

    sheets: tuple[str, ...] = ()  # data URIs
    rows: tuple[int, ...] = ()  # of each sheet
    number: int = 0  # of thumbnails
    lossless: bool = True


def sprites(
    images: UInt8[np.ndarray, "samples channels height width"] | None,
    order: Int[np.ndarray, " shown"],
    limit: int,
    *,
    largest: int = LARGEST,
) -> Sprites:
    """Makes thumbnails of as many samples as fit.

    Args:
        images: of all samples, if there are any.
        order: samples to have a thumbnail, the most important first.
        limit: bytes of all data URIs together.
        largest: pixels of the longer side; larger images are scaled down.
    """
    if images is None:
        return Sprites()
    chunks = [order[i : i + PER_SHEET] for i in range(0, len(order), PER_SHEET)]
    first = _sheet(images, order[:PER_SHEET], largest)
    quality = _quality(first, limit * PER_SHEET / max(len(order), PER_SHEET))
    sheets: list[str] = []
    for chunk in chunks:
        sheet = _encode(_sheet(images, chunk, largest), quality)
        limit -= len(sheet)
        if limit < 0:
            break
        sheets.append(sheet)
    kept = chunks[: len(sheets)]
    rows = tuple(math.ceil(len(chunk) / PER_ROW) for chunk in kept)
    return Sprites(tuple(sheets), rows, sum(map(len, kept)), quality is None)


def _quality(first: Image.Image, limit: float) -> int | None:
    """Returns the best quality at which the first sheet keeps its limit."""
    fitting = (quality for quality in QUALITIES[:-1] if len(_encode(first, quality)) <= limit)
    return next(fitting, QUALITIES[-1])


def _sheet(
    images: UInt8[np.ndarray, "samples channels height width"],
    chosen: Int[np.ndarray, " chosen"],
    largest: int,
) -> Image.Image:
    """Pastes thumbnails row by row, each in the middle of a square cell."""
    side = min(max(images.shape[2:]), largest)
    mode = "RGBA" if images.shape[1] == 4 else "RGB"
    sheet = Image.new(mode, (PER_ROW * side, math.ceil(len(chosen) / PER_ROW) * side))
    for cell, image in enumerate(_thumbnails(images, chosen, largest)):
        row, column = divmod(cell, PER_ROW)
        left, top = ((side - length) // 2 for length in image.size)
        sheet.paste(image, (column * side + left, row * side + top))
    return sheet


def _thumbnails(
    images: UInt8[np.ndarray, "samples channels height width"],
    chosen: Int[np.ndarray, " chosen"],
    largest: int,
) -> Iterator[Image.Image]:
    """Yields one thumbnail after the other; channels other than colours are averaged to grey."""
    colours = images.shape[1] in (3, 4)
    for row in chosen:
        image = images[row]
        pixels = np.moveaxis(image, 0, -1) if colours else image.mean(axis=0).astype(np.uint8)
        thumbnail = Image.fromarray(np.ascontiguousarray(pixels))
        if max(thumbnail.size) > largest:
            thumbnail.thumbnail((largest, largest))
        yield thumbnail


def _encode(sheet: Image.Image, quality: int | None) -> str:
    content = io.BytesIO()
    if quality is None:
        sheet.save(content, format="WebP", lossless=True)
    else:
        sheet.save(content, format="WebP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
