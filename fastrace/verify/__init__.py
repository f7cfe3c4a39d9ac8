"""`fastrace verify`: is a folder complete, and is everything in it as it was written?

``dataset`` looks at a dataset, ``run`` at a trained run or an audit. Every byte is read once, in pieces, with a thread for each
processor. docs/verify.md lists what is found and by which check; a test makes every one of these changes.
"""

from __future__ import annotations

from pathlib import Path

from fastrace.audit.document import FILE as AUDIT
from fastrace.errors import DatasetError
from fastrace.manifest import FILE as DATASET
from fastrace.verify.dataset import verify_dataset
from fastrace.verify.result import Verification

__all__ = ["Verification", "examine", "verify"]


def verify(folder: Path) -> list[str]:
    """One sentence for each thing that is wrong with a dataset, a run or an audit; empty if nothing is. See `examine`."""
    return list(examine(folder).problems)


def examine(folder: Path) -> Verification:
    """Check a dataset, a run or an audit.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Verification
        What was compared, and one sentence for each thing that is wrong.

    Raises
    ------
    FastraceError
        There is none of these in the folder, or the file that describes it cannot be read.
    """
    folder = Path(folder)
    if (folder / "run.json").is_file() or (folder / AUDIT).is_file():
        from fastrace.verify.run import verify_run  # a checkpoint and a report need torch, a dataset does not

        return verify_run(folder)
    if (folder / DATASET).is_file() or any(folder.glob("images-*")):
        return verify_dataset(folder)
    raise DatasetError(
        f"{folder}: no dataset here ({DATASET} is missing), no run (run.json) and no audit ({AUDIT}); name the folder of one"
    )
