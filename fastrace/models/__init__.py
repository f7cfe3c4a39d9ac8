"""The networks: timm backbones with one input channel, and a small one that learns texture and anatomy on a CPU in minutes.

``build`` makes them, ``small`` is the small one, ``weights`` finds and reads first weights, on this machine only. Importing
the package imports no torch.
"""

SMALL = "small"
"""The name of the small network, as options have it."""
