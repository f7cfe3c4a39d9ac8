"""What the study's released code does to an image, for ``--variant released-code``; the study's text is in `operations`.

=====================  =================================================  =============================================
.                      corrected                                          released code
=====================  =================================================  =============================================
values filtered        display values in [0, 1]                           ``(x - 0.485) / 0.229``: ImageNet's red channel
mean after high-pass   0: a black image                                   0: grey 0.485
clip                   on request, in its place, display values           always, last, normalised: 1.0 (display 0.714)
                                                                          unless another is given
tiles                  cover the image                                    whole pixels: 74 of 224, two rows never touched
removed tile           0: black                                           0: grey 0.485
kept tile              stays in place, the rest 0                         enlarged to the whole image, bilinear
normalisation          mean and deviation of the degraded images          none after the filter, however little it leaves
=====================  =================================================  =============================================

The filter itself is the same: its circle of "diameter" t keeps the coefficients at a distance below t from row and column n / 2
of the shifted spectrum, so t is a *radius*, and with n even that centre is the mean and the circle is symmetric: `bandpass`
keeps the same coefficients, and the imaginary part that the code may have left (``real_if_close``) is rounding. At an odd n the
centre lies between coefficients and the result is complex: refused.

What still differs from the released runs: they repeat this channel three times (our networks have one input channel, whose
weights are the sum over the three: the same response); where nothing is filtered their channels are normalised apart, ours as
the first. They resize 8-bit pixels with Pillow's bilinear filter.

Source: the study's released code (frequency training), read for what it does; nothing is copied.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from fastrace.degrade.grammar import GRID, Clip, Degradation, Filter, Patch
from fastrace.kernels.bandpass import bandpass

MEAN, STD = 0.485, 0.229
CLIP = 1.0


def apply_released(
    degradation: Degradation, images: Tensor
) -> Tensor:  # [N, n, n] float32 display values -> normalised
    """Degrade a batch as the released code did; `Degradation.check` has refused what it cannot do.

    Returns
    -------
    Tensor [N, n, n] float32
        What the network gets: no normalisation follows.
    """
    images = (images - MEAN) / STD
    level = CLIP
    for step in degradation.steps:
        if isinstance(step, Filter):
            images = bandpass(images, step.radial)
        elif isinstance(step, Patch):
            images = _patch(images, step)
        elif isinstance(step, Clip):
            level = step.level
    return images.clamp(max=level)


def _patch(images: Tensor, step: Patch) -> Tensor:
    n = images.shape[-1]
    side = n // GRID
    row, column = divmod(step.tile, GRID)
    top, left = row * side, column * side
    if step.action == "keep":
        tile = images[:, None, top : top + side, left : left + side]
        return functional.interpolate(tile, (n, n), mode="bilinear", align_corners=False)[:, 0]
    inside = torch.zeros(n, n, dtype=torch.bool, device=images.device)
    inside[top : top + side, left : left + side] = True
    return torch.where(inside, 0.0, images)
