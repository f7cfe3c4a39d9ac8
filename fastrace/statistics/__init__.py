"""AUCs whose unit of inference is the patient: ``delong`` (DeLong's and Obuchowski's, on the logit scale), ``bootstrap``."""

from fastrace.statistics.bootstrap import bootstrap
from fastrace.statistics.delong import (
    MIN_PATIENTS,
    NOT_ENOUGH,
    ClassAucs,
    Estimate,
    Ranking,
    auc,
    class_aucs,
    rank_images,
    rank_patients,
)

__all__ = [
    "MIN_PATIENTS",
    "NOT_ENOUGH",
    "ClassAucs",
    "Estimate",
    "Ranking",
    "auc",
    "bootstrap",
    "class_aucs",
    "rank_images",
    "rank_patients",
]
