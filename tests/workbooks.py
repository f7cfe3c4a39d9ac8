"""Excel workbooks for tests, written as ECMA-376 has them; a cell is its XML."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[str]]], hidden: Collection[str] = ()) -> Path:
    """A workbook of these sheets: name -> rows of cells."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    numbered = list(enumerate(sheets.items(), 1))
    state = {name: ' state="hidden"' * (name in hidden) for name in sheets}
    listed = "".join(
        f'<sheet name="{name}" sheetId="{place}"{state[name]} r:id="r{place}"/>' for place, (name, _) in numbered
    )
    related = "".join(
        f'<Relationship Id="r{place}" Type="{relations}/worksheet" Target="worksheets/sheet{place}.xml"/>'
        for place, _ in numbered
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{relations}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{related}</Relationships>',
    }
    for place, (_, rows) in numbered:
        body = "".join(f"<row>{''.join(row)}</row>" for row in rows)
        parts[f"xl/worksheets/sheet{place}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(path, "w") as file:
        for name, written in parts.items():
            file.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + written)
    return path


def text(value: str) -> str:
    """A cell of text."""
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>'


def number(value: str) -> str:
    """A cell of a number."""
    return f"<c><v>{value}</v></c>"
