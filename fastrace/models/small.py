"""The small network: two ways from an image to features, one for texture and one for anatomy, and a linear classifier on both.

fine
    Strided convolutions at full resolution and a global mean. The mean of rectified responses is an energy detector, which is
    what a stationary texture needs. It is blind to where something is.
coarse
    The image made small, beside it the same with its local contrast normalised, four convolutions with max pooling, and means
    over the whole and over its quarters: shapes, and where they are. Made small first: 100 x 100 hand radiographs were read
    as well at 50 x 50 as they are, at half the cost, and no image costs more than one of 96 x 96.

Neither alone is enough. On hands the fine way read sex at AUC .55 where both read .82, and on phantoms it missed most patches;
the coarse way has lost what is finer than its pixels. docs/small_network.md has the measurements.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

FINE = (16, 32, 48, 64, 96)
COARSE = (32, 64, 96, 128)
"""Channels of the convolutions."""
COARSE_SIDE = 64
"""Pixels of the longer side that the coarse way aims at; a whole number of pixels becomes one, so it sees 43 to 96."""
NEIGHBOURS = 9
"""Pixels of the square in which contrast is normalised."""
LEAST_CONTRAST = 0.1
"""Added to the local standard deviation, in that of all images: a black background stays 0, its noise does not fill the range."""
DROPOUT = 0.3
"""Of the coarse features. The fine ones are few, and each is a mean over the image."""


class SmallNet(nn.Module):
    """190,000 + 100,000 parameters, for images of 32 to 512 pixels.

    Cost, forward and back on one core: 2.3 ms an image of 100 x 100, 4 ms of 128 x 128.

    Parameters
    ----------
    num_classes : int
    in_chans : int
    """

    def __init__(self, num_classes: int, in_chans: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for depth, (before, after) in enumerate(pairwise((in_chans, *FINE))):
            # Three strides make it cheap; a texture folded by them still has its energy.
            kernel, stride = (5, 2) if depth == 0 else (3, 2 if depth < 3 else 1)
            layers += _convolution(before, after, kernel, stride)
        self.fine = nn.Sequential(*layers)
        layers = []
        for before, after in pairwise((2 * in_chans, *COARSE)):
            layers += [*_convolution(before, after, 3), nn.MaxPool2d(2, ceil_mode=True)]
        self.coarse = nn.Sequential(*layers)
        self.dropout = nn.Dropout(DROPOUT)
        self.num_features = FINE[-1] + 5 * COARSE[-1]
        self.classifier = nn.Linear(self.num_features, num_classes)

    def forward(self, images: Tensor) -> Tensor:  # [N, C, H, W] -> [N, K] logits
        """Logits."""
        fine, coarse = self._both(images)
        return self.classifier(torch.cat([fine, self.dropout(coarse)], dim=1))

    def features(self, images: Tensor) -> Tensor:  # [N, C, H, W] -> [N, D]
        """What the classifier reads."""
        return torch.cat(self._both(images), dim=1)

    def _both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        small = made_small(images.float())
        seen = torch.cat([small, local_contrast(small)], dim=1).contiguous(memory_format=torch.channels_last)
        return self.fine(images).mean(dim=(2, 3)), _whole_and_quarters(self.coarse(seen))


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


def made_small(images: Tensor) -> Tensor:  # [N, C, H, W]
    """Means over squares of so many pixels that the longer side has about `COARSE_SIDE`."""
    pixels = max(1, round(max(images.shape[-2:]) / COARSE_SIDE))
    return functional.avg_pool2d(images, pixels, ceil_mode=True) if pixels > 1 else images


def local_contrast(images: Tensor) -> Tensor:  # [N, C, H, W]
    """Difference from the mean of the neighbourhood, in its standard deviation."""
    difference = images - _local_mean(images)
    return difference / (_local_mean(difference**2).sqrt() + LEAST_CONTRAST)


def _local_mean(images: Tensor) -> Tensor:
    return functional.avg_pool2d(images, NEIGHBOURS, 1, NEIGHBOURS // 2, count_include_pad=False)


def _whole_and_quarters(maps: Tensor) -> Tensor:  # [N, C, h, w] -> [N, 5 C]
    """Means over the whole and over its quarters, which share the middle of an odd side.

    By slices: torch's adaptive pooling has no deterministic gradient on CUDA.
    """
    height, width = maps.shape[-2:]
    rows = slice(0, (height + 1) // 2), slice(height // 2, height)
    columns = slice(0, (width + 1) // 2), slice(width // 2, width)
    parts = [maps, *(maps[:, :, row, column] for row in rows for column in columns)]
    return torch.cat([part.mean(dim=(2, 3)) for part in parts], dim=1)
