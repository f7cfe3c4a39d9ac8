from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fastrace.phantom import PhantomSpec, make


@dataclass(frozen=True)
class Archive:
    out: Path
    spec: PhantomSpec


SPECS = {
    "mammo": PhantomSpec(modality="mammo", patients=26, images_per_patient=2, size=(160, 120), seed=11),
    "cxr": PhantomSpec(modality="cxr", patients=24, images_per_patient=1, size=(128, 144), seed=12),
}


@pytest.fixture(scope="session", params=["mammo", "cxr"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    out = tmp_path_factory.mktemp("phantom") / request.param
    make(out, SPECS[request.param])
    return Archive(out, SPECS[request.param])


@pytest.fixture(scope="session")
def control(archive: Archive) -> Archive:
    """The same patients without the leak."""
    out = archive.out.with_name("control")
    spec = replace(archive.spec, strength=0.0)
    make(out, spec)
    return Archive(out, spec)
