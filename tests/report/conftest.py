"""Reports of the sample documents, written once."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit_documents import DOCUMENTS, put

from fastrace.report import write


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name of a sample -> its audit folder, with the report in it."""
    root = tmp_path_factory.mktemp("audits")
    folders = {name: put(root / name.replace(" ", "-"), make()) for name, make in DOCUMENTS.items()}
    for folder in folders.values():
        write(folder)
    return folders


@pytest.fixture(params=sorted(DOCUMENTS))
def report(request: pytest.FixtureRequest, reports: dict[str, Path]) -> Path:
    return reports[request.param]
