"""From a folder of DICOM or raster files and a table of labels to a dataset.

``scan`` lists files, ``worker`` reads one in a worker process, ``pool`` keeps order and survives crashes, ``labels`` joins
the table, ``store`` writes crash-safe shards, ``run`` ties them together, ``plan`` is the dry run.
"""

from fastrace.preprocess.plan import Plan, plan
from fastrace.preprocess.recipe import Job, Recipe
from fastrace.preprocess.run import Summary, preprocess

__all__ = ["Job", "Plan", "Recipe", "Summary", "plan", "preprocess"]
