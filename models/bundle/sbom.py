"""The bill of materials: CycloneDX 1.6 in JSON (https://cyclonedx.org/docs/1.6/json/)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .lock import canonical
from .wheels import Wheel


@dataclass(frozen=True)
class CarriedFile:
    """A model or a data file: its path in the bundle, SHA-256 (hex), licence ("" if not known), CycloneDX type."""

    path: str
    sha256: str
    licence: str
    type: str


def sbom(own: Wheel, others: Sequence[Wheel], files: Sequence[CarriedFile], *, made: datetime) -> str:
    """A CycloneDX document: our wheel as its subject, every other wheel, model and data file as a component.

    The serial number depends on the components alone. ``made`` is written in UTC.
    """
    subject = {**_wheel(own), "type": "application"}
    components = [*map(_wheel, others), *map(_file, files)]
    digests = "".join(sorted(part["hashes"][0]["content"] for part in [subject, *components]))
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digests)}",
        "version": 1,
        "metadata": {"timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": subject},
        "components": components,
        "dependencies": [
            {"ref": subject["bom-ref"], "dependsOn": sorted(part["bom-ref"] for part in components)},
            *({"ref": part["bom-ref"]} for part in components),
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _wheel(wheel: Wheel) -> dict[str, Any]:
    purl = f"pkg:pypi/{canonical(wheel.name)}@{wheel.version.replace('+', '%2B')}"
    part = {
        "type": "library",
        "bom-ref": purl,
        "name": wheel.name,
        "version": wheel.version,
        "purl": purl,
        "hashes": _hashes(wheel.sha256),
    }
    if wheel.licence_expression:
        part["licenses"] = [{"expression": wheel.licence_expression}]
    elif wheel.licence:
        part["licenses"] = [{"license": {"name": wheel.licence}}]
    return part


def _file(file: CarriedFile) -> dict[str, Any]:
    part: dict[str, Any] = {
        "type": file.type,
        "bom-ref": f"file:{file.path}",
        "name": file.path,
        "hashes": _hashes(file.sha256),
    }
    if file.licence:
        part["licenses"] = [{"license": {"name": file.licence}}]
    return part


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]
