"""How sure we may be: AUCs whose unit of inference is the patient, their intervals, nulls, bands and corrections.

Reading order: `ranking` what is ranked, `estimate` an AUC with its interval and mark, `delong` class and macro AUCs,
`bootstrap` the alternative interval, `pairs` one class against another, `paired` two scores on the same patients,
`permutation` the null,
`detectable` what could have been found, `correction` many questions, `simultaneous` a curve, `small_cells` what is not
shown.
"""

from fastrace.console.words import MIN_CELL
from fastrace.statistics.bootstrap import bootstrap
from fastrace.statistics.correction import benjamini_yekutieli, holm
from fastrace.statistics.d_prime import d_prime
from fastrace.statistics.delong import ClassAucs, auc, class_aucs, influence, macro_influence
from fastrace.statistics.detectable import POWER, detectable_auc, standard_error
from fastrace.statistics.estimate import APPROXIMATE, CONSTANT, DELONG, MIN_CLASS_PATIENTS, NOT_ENOUGH, Estimate
from fastrace.statistics.paired import Difference, paired_difference
from fastrace.statistics.pairs import pair_aucs
from fastrace.statistics.permutation import ENOUGH, permutation_p, permuted_aucs, sequential_p
from fastrace.statistics.ranking import Ranking, rank_images, rank_patients
from fastrace.statistics.simultaneous import simultaneous_band
from fastrace.statistics.small_cells import hidden

__all__ = [
    "APPROXIMATE",
    "CONSTANT",
    "DELONG",
    "ENOUGH",
    "MIN_CELL",
    "MIN_CLASS_PATIENTS",
    "NOT_ENOUGH",
    "POWER",
    "ClassAucs",
    "Difference",
    "Estimate",
    "Ranking",
    "auc",
    "benjamini_yekutieli",
    "bootstrap",
    "class_aucs",
    "d_prime",
    "detectable_auc",
    "hidden",
    "holm",
    "influence",
    "macro_influence",
    "pair_aucs",
    "paired_difference",
    "permutation_p",
    "permuted_aucs",
    "rank_images",
    "rank_patients",
    "sequential_p",
    "simultaneous_band",
    "standard_error",
]
