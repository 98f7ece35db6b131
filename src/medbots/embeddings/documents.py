"""Vectors of many texts: prefixed for the model, tried again, checked as the bots check theirs."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from medbots import errors
from medbots.embeddings import contract as contract_module
from medbots.embeddings import router as router_module

LOG = logging.getLogger("medbots.embeddings")
TASK = "embedding"
_ATTEMPTS = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_HALF_GREATEST = 65_504.0
_HALF_LEAST = 2.0**-25
"""What half precision rounds to zero."""


class Router(Protocol):
    """Makes vectors."""

    async def embed(
        self, model: str, texts: Sequence[str], *, task: str | None = None
    ) -> list[list[float]]:
        """Return one vector for each text, in their order."""
        ...


class VectorError(errors.ServerError):
    """The model answered a vector that cannot be stored."""

    code = "vector-unusable"

    length: int | None = None
    """Of the vector, where that is what is wrong."""


class Documents:
    """Embeds the texts of records by one contract."""

    def __init__(
        self,
        router: Router,
        contract: contract_module.Contract,
        *,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._router = router
        self.contract = contract
        """By which the vectors are made."""
        self._pause = pause
        self._silent_until = 0.0
        self.requests = 0
        """Made so far, repeated ones included."""

    async def embed(self, texts: Sequence[str], *, first: bool = False) -> list[list[float]]:
        """Return one vector for each text: of the contract's length, finite, storable, not zero.

        A router that is overloaded, fails or does not answer is asked again, each time later, and
        that is told.

        Args:
            texts: of records.
            first: whether nothing has been embedded yet: where nothing listens, that is told at
                once, for it is a wrong address and not a restart.

        Raises:
            VectorError: the model answered something that cannot be stored.
            errors.MedbotsError: the router refuses, or did not answer in all attempts.
        """
        prefixed = [self.contract.document(text) for text in texts]
        for attempt in range(_ATTEMPTS):
            self.requests += 1
            try:
                vectors = await self._router.embed(self.contract.alias, prefixed, task=TASK)
            except (router_module.BusyError, errors.UnreachableError) as error:
                nobody = first and isinstance(error, router_module.NobodyError)
                if nobody or attempt == _ATTEMPTS - 1:
                    raise
                seconds = _seconds(attempt, getattr(error, "pause", None))
                self._narrate(error, attempt, seconds)
                await self._pause(seconds)
            else:
                for vector in vectors:
                    check(vector, self.contract.dimension)
                return vectors
        raise AssertionError("the last attempt returns or raises")

    def _narrate(self, error: errors.MedbotsError, attempt: int, seconds: float) -> None:
        """Tell that it is asked again; once for all requests that are under way."""
        now = time.monotonic()
        if now < self._silent_until:
            return
        self._silent_until = now + seconds / 2
        LOG.warning(
            "%s; asking again in %.1f s (%d of %d)",
            error.message,
            seconds,
            attempt + 2,
            _ATTEMPTS,
        )


def check(vector: Sequence[float], dimension: int) -> None:
    """Raise unless a halfvec column of `dimension` can hold the vector so that a search finds it.

    Raises:
        VectorError: says what is wrong with it.
    """
    if len(vector) != dimension:
        error = VectorError(
            f"the model answers vectors of {len(vector)} dimensions, not {dimension}",
            hint=f"set EMBEDDING_DIM={len(vector)} (models.embedding.dimension), if that model is "
            "meant; or let the router's alias name the other model",
        )
        error.length = len(vector)
        raise error
    if not all(map(math.isfinite, vector)):
        raise VectorError("the model answered a vector with a value that is no number")
    greatest, least = max(vector), min(vector)
    greatest = max(greatest, -least)
    if greatest <= _HALF_LEAST:
        raise VectorError("the model answered a zero vector, which no search finds")
    if greatest > _HALF_GREATEST:
        raise VectorError("the model answered a value too large for half precision")


def _seconds(attempt: int, asked: float | None) -> float:
    """Return how long to wait: what the router asks, else longer each time, never in step."""
    if asked is not None:
        return min(asked, _LONGEST_PAUSE)
    return float(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.8, 1.2))  # noqa: S311
