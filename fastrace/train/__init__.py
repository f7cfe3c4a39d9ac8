"""From a dataset to a trained classifier in a run folder.

Reading order: ``options`` (the options of a run, the two recipes),
``batches`` (rows of the shards to a device), ``pipeline`` (stored words to logits: augment, degrade, normalise, network),
``loop`` (epochs, early stopping, resumable state), ``checkpoint``, ``run`` (puts them together).
"""

from fastrace.train.options import Options
from fastrace.train.run import Outcome, train

__all__ = ["Options", "Outcome", "train"]
