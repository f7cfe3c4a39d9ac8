"""The small network."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class SmallNet(nn.Module):
    """Five convolutions and a global mean: 100,000 parameters, for images of about 128 to 256 pixels.

    The global mean of rectified filter responses is an energy detector, which is what a stationary texture needs; it is blind
    to where something is. Three strides at the start make it cheap (4 ms an image of 128 x 128, forward and back, on one core);
    a texture folded by them still has its energy.

    Parameters
    ----------
    num_classes : int
    in_chans : int
    """

    def __init__(self, num_classes: int, in_chans: int = 1) -> None:
        super().__init__()
        widths = (in_chans, 16, 32, 48, 64, 96)
        layers: list[nn.Module] = []
        for depth, (before, after) in enumerate(pairwise(widths)):
            kernel, stride = (5, 2) if depth == 0 else (3, 2 if depth < 3 else 1)
            layers += [
                nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:  # [N, 1, H, W] -> [N, K] logits
        """Logits."""
        return self.classifier(self.features(images).mean(dim=(2, 3)))
