"""Which models the server has: its aliases, and what stands behind each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from medbots.local.model_server import extractive, failures, faults

PATHS = {
    faults.Endpoint.CHAT: "/v1/chat/completions",
    faults.Endpoint.EMBEDDINGS: "/v1/embeddings",
}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models of one server."""

    engine: str
    """What makes the vectors, such as `feature-hashing`."""
    dimension: int = 768
    alias: str = "embedding-model"
    chat_alias: str = "clinical-model"
    """May be the same as the other one: then it is offered at both endpoints."""
    further: Mapping[str, int] = field(default_factory=dict)
    """Other models of embeddings, with their dimensions: to change from one to another."""

    def dimension_of(self, alias: str) -> int:
        """Return the length of the vectors that a model answers where the request names none."""
        return self.further.get(alias, self.dimension)

    def name(self, endpoint: faults.Endpoint, alias: str = "") -> str:
        """Return the model that each answer names, so that none passes for a real one unnoticed."""
        engines = {
            faults.Endpoint.EMBEDDINGS: f"{self.engine}-{self.dimension_of(alias)}",
            faults.Endpoint.CHAT: extractive.NAME,
        }
        return f"offline-stand-in/{engines[endpoint]}"

    def aliases(self) -> list[str]:
        """Return the aliases, each once."""
        return list(dict.fromkeys((self.alias, self.chat_alias, *self.further)))

    def entry(self, alias: str) -> dict[str, Any] | None:
        """Return a model in OpenAI's shape; None where there is none of this name."""
        names = [self.name(endpoint, alias) for endpoint in self._endpoints(alias)]
        owner = f"medbots: {', '.join(names)}"
        return {"id": alias, "object": "model", "created": 0, "owned_by": owner} if names else None

    def health(self) -> dict[str, Any]:
        """Return every model in the shape of LiteLLM's `/health`."""
        healthy = [
            {"model": alias, "engine": self.name(endpoint, alias)}
            for alias in self.aliases()
            for endpoint in self._endpoints(alias)
        ]
        return {
            "healthy_endpoints": healthy,
            "unhealthy_endpoints": [],
            "healthy_count": len(healthy),
            "unhealthy_count": 0,
        }

    def unknown(self, alias: str) -> Response:
        """Return the 404 of a model that there is not."""
        known = " and ".join(repr(one) for one in self.aliases())
        said = f"The model {alias!r} does not exist; this offline stand-in has {known}."
        return failures.error(404, said, code="model_not_found", param="model")

    def misplaced(self, alias: str, endpoint: faults.Endpoint) -> Response | None:
        """Return the 404 of a model that is not offered at an endpoint; None where it is."""
        endpoints = self._endpoints(alias)
        if endpoint in endpoints:
            return None
        if not endpoints:
            return self.unknown(alias)
        said = f"{alias!r} is no model of {endpoint}, and is not supported at {PATHS[endpoint]}."
        return failures.error(404, said, param="model")

    def _endpoints(self, alias: str) -> list[faults.Endpoint]:
        offered = {
            faults.Endpoint.EMBEDDINGS: (self.alias, *self.further),
            faults.Endpoint.CHAT: (self.chat_alias,),
        }
        return [endpoint for endpoint, aliases in offered.items() if alias in aliases]
