"""Cutting a picture: into tiles for the entropy coder, into windows with a halo for the networks.

The two are independent. A tile is coded by itself, so it can be read and can break by itself. A network looks
beyond what it computes, so a window is its core and a halo as wide as the network's receptive field:
the cores fit together without a seam, as if the whole picture had been one window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle of rows top <= r < bottom and columns left <= c < right, in any unit."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def size(self) -> int:
        """Places in it; 0 for an impossible one."""
        return max(self.height, 0) * max(self.width, 0)

    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def scaled(self, factor: int) -> Box:
        return Box(self.top * factor, self.left * factor, self.bottom * factor, self.right * factor)

    def over(self, factor: int) -> Box:
        """The smallest box that, scaled by the factor, covers this one."""
        return Box(
            self.top // factor, self.left // factor, -(-self.bottom // factor), -(-self.right // factor)
        )

    def relative_to(self, other: Box) -> Box:
        """This box in coordinates that start at another box's corner."""
        return Box(
            self.top - other.top, self.left - other.left, self.bottom - other.top, self.right - other.left
        )

    def meets(self, other: Box) -> bool:
        """Whether they have any place in common."""
        return (
            self.top < other.bottom
            and other.top < self.bottom
            and self.left < other.right
            and other.left < self.right
        )

    def within(self, other: Box) -> Box:
        """The part of this box that lies in another that it meets."""
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def grown(self, margin: int, height: int, width: int) -> Box:
        """This box with a margin on every side, cut at the borders of a height x width area."""
        return Box(
            max(self.top - margin, 0),
            max(self.left - margin, 0),
            min(self.bottom + margin, height),
            min(self.right + margin, width),
        )


def boxes(height: int, width: int, side: int) -> Iterator[Box]:
    """Covers a height x width area with squares, row by row; the last of a row or column may be smaller."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Box(top, left, min(top + side, height), min(left + side, width))


def even_boxes(area: Box, most: int) -> Iterator[Box]:
    """Covers an area with as few boxes of sides up to `most` as there can be, all of about the same size."""
    down, across = -(-area.height // most), -(-area.width // most)
    for i in range(down):
        for j in range(across):
            yield Box(
                area.top + area.height * i // down,
                area.left + area.width * j // across,
                area.top + area.height * (i + 1) // down,
                area.left + area.width * (j + 1) // across,
            )


def box_count(height: int, width: int, side: int) -> int:
    """How many boxes `boxes` gives, without making them."""
    return -(-height // side) * -(-width // side)
