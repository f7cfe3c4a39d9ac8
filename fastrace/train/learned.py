"""Whether a training learned anything that carries over to patients it was not trained on: a rule fixed beforehand.

It learned nothing if, on the validation patients, with the weights that are kept,

    the interval of the AUC includes chance, .5 or less, and
    the loss is not more than `BELOW_GUESSING` below log K, which equal probabilities for K classes have.

Both, since 20 validation patients have an interval that is wide around most AUCs, while a loss far below log K needs a network
that is sure and right. The loss of the training patients is stated, not judged: a network that knows them by heart has
learned nothing either. An epoch chosen by the validation AUC makes that AUC too high; the small network keeps its last epoch
(`TrainingRecipe.watch`), so for it at most 2 or 3 of 100 trainings on labels without meaning pass by the interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrace.cohort.selection import Cohort
from fastrace.console.words import interval, number
from fastrace.train.scores import aucs_of

CHANCE = 0.5
BELOW_GUESSING = 0.05
"""Share of log K."""


def learned(
    scores: np.ndarray,  # [N, K] float64
    cohort: Cohort,
    positions: np.ndarray,
    validation_loss: float,
    training_loss: float,
) -> dict[str, Any]:
    """What the validation patients say about a training, as plain types for ``metrics.json``.

    Parameters
    ----------
    scores : ndarray
        Of the validation images, by the weights that are kept.
    cohort : Cohort
    positions : ndarray [N]
        Of these images in the cohort.
    validation_loss, training_loss : float
        Mean cross-entropy of these weights, and of the epoch they come from.
    """
    auc = aucs_of(scores, cohort.labels[positions], cohort.frame.iloc[positions])[0].macro
    guessing = math.log(len(cohort.classes))
    nothing = learned_nothing(auc.low, validation_loss, guessing)
    return {
        "anything": not nothing,
        "validation": auc.to_json(),
        "validation_loss": float(np.round(validation_loss, 12)),
        "training_loss": float(np.round(training_loss, 12)),
        "guessing_loss": guessing,
    }


def learned_nothing(low: float, loss: float, guessing: float) -> bool:
    """The rule; ``low`` is the lower limit of the AUC, NaN where there is none."""
    return not low > CHANCE and not loss < (1 - BELOW_GUESSING) * guessing


def sentence(found: Mapping[str, Any]) -> str:
    """``validation AUC .51 (.42-.60), loss .70 where guessing has .69 (training patients .35)``."""
    auc = found["validation"]
    return (
        f"validation AUC {interval(auc['value'], auc['low'], auc['high'])}, loss {number(found['validation_loss'])} where "
        f"guessing has {number(found['guessing_loss'])} (training patients {number(found['training_loss'])})"
    )
