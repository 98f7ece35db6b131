"""Several requests in one: the Bundle that is sent, and what became of each entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medbots import errors
from medbots.medplum import outcome


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One request of a batch; `url` is relative to the FHIR endpoint, such as `Bot?name=x`."""

    method: str
    url: str
    resource: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one entry."""

    status: int
    resource: dict[str, Any] | None
    outcome: dict[str, Any] | None
    request: str = "batch entry"
    """Method and path, for messages."""

    def value(self) -> Any:
        """Return the resource.

        Raises:
            errors.MedbotsError: the entry failed.
        """
        trouble = next(filter(outcome.is_error, (self.outcome, self.resource)), None)
        if trouble is not None or not 200 <= self.status < 300:  # noqa: PLR2004
            raise outcome.error(self.status, trouble or self.outcome, self.request)
        return self.resource


def bundle(entries: Sequence[BatchEntry]) -> dict[str, Any]:
    """Return the Bundle that asks for all entries."""
    return {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {
                "request": {"method": one.method, "url": one.url},
                **({} if one.resource is None else {"resource": one.resource}),
            }
            for one in entries
        ],
    }


def results(entries: Sequence[BatchEntry], answer: Any) -> list[BatchResult]:
    """Read the Bundle that answers `entries`.

    Raises:
        errors.ServerError: it does not answer each of them.
    """
    found = answer.get("entry") if isinstance(answer, dict) else None
    if (
        not isinstance(found, list)
        or len(found) != len(entries)
        or not all(isinstance(one, dict) for one in found)
    ):
        raise errors.ServerError(f"a batch of {len(entries)} entries was not answered in full")
    return [_result(entry, one) for entry, one in zip(entries, found, strict=True)]


def _result(entry: BatchEntry, document: Any) -> BatchResult:
    response = document.get("response") or {}
    status = str(response.get("status", "")).split(" ")[0]
    return BatchResult(
        status=int(status) if status.isdigit() else 500,
        resource=document.get("resource"),
        outcome=response.get("outcome"),
        request=f"{entry.method} {entry.url.partition('?')[0]}",
    )
