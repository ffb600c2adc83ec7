"""Thumbnails of many samples as a few large pictures, under a limit of bytes."""

import base64
import io
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

COLUMNS = 32
ROWS = 32
LARGEST = 64
"""Pixels of the longer side; larger images are made smaller."""

QUALITIES = (None, 80, 50)
"""Of WebP; None is without loss, the next are tried where the one before is too large."""


class Sprites(NamedTuple):
    """Sheets of COLUMNS thumbnails a row; thumbnail k is k % (COLUMNS * ROWS) of its sheet."""

    sheets: tuple[str, ...] = ()  # data URIs
    rows: tuple[int, ...] = ()  # of each sheet
    number: int = 0  # of thumbnails
    lossless: bool = True


def sprites(images: np.ndarray | None, order: np.ndarray, limit: int) -> Sprites:
    """Thumbnails of as many samples as fit.

    Args:
        images: uint8 (samples, channels, height, width), or None.
        order: samples that are to have one, the most important first.
        limit: bytes of all data URIs together.
    """
    if images is None:
        return Sprites()
    per_sheet = COLUMNS * ROWS
    chunks = [order[i : i + per_sheet] for i in range(0, len(order), per_sheet)]
    quality = _quality(images, order[:per_sheet], limit * per_sheet / max(len(order), per_sheet))
    sheets: list[str] = []
    for chunk in chunks:
        sheet = _encode(_draw(images, chunk), quality)
        limit -= len(sheet)
        if limit < 0:
            break
        sheets.append(sheet)
    kept = chunks[: len(sheets)]
    rows = tuple(math.ceil(len(chunk) / COLUMNS) for chunk in kept)
    return Sprites(tuple(sheets), rows, sum(map(len, kept)), quality is None)


def _quality(images: np.ndarray, first: np.ndarray, limit: float) -> int | None:
    """The best quality at which the first sheet, if all are like it, keeps within its share."""
    sheet = _draw(images, first)
    fitting = (quality for quality in QUALITIES[:-1] if len(_encode(sheet, quality)) <= limit)
    return next(fitting, QUALITIES[-1])


def _draw(images: np.ndarray, chosen: np.ndarray) -> Image.Image:
    """Thumbnails row by row, each in the middle of a square cell."""
    side = min(max(images.shape[2:]), LARGEST)
    mode = "RGBA" if images.shape[1] == 4 else "RGB"
    sheet = Image.new(mode, (COLUMNS * side, math.ceil(len(chosen) / COLUMNS) * side))
    for cell, image in enumerate(_thumbnails(images, chosen)):
        row, column = divmod(cell, COLUMNS)
        left, top = ((side - length) // 2 for length in image.size)
        sheet.paste(image, (column * side + left, row * side + top))
    return sheet


def _thumbnails(images: np.ndarray, chosen: np.ndarray) -> Iterator[Image.Image]:
    """One after the other; channels that are no colours are averaged to grey."""
    colours = images.shape[1] in (3, 4)
    for row in chosen:
        image = images[row]
        pixels = np.moveaxis(image, 0, -1) if colours else image.mean(axis=0).astype(np.uint8)
        thumbnail = Image.fromarray(np.ascontiguousarray(pixels))
        if max(thumbnail.size) > LARGEST:
            thumbnail.thumbnail((LARGEST, LARGEST))
        yield thumbnail


def _encode(sheet: Image.Image, quality: int | None) -> str:
    content = io.BytesIO()
    if quality is None:
        sheet.save(content, format="WebP", lossless=True)
    else:
        sheet.save(content, format="WebP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
