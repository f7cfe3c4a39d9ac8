"""Measurements against named peers: interleaved, with spread and error, losses shown."""
