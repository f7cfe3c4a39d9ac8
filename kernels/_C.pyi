"""The compiled kernels. It has no Python names: loading it registers `torch.ops.fastrace.*` (see `_extension.load`)."""
