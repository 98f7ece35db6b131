"""Changes the embedding model of a project while its bots go on searching and writing."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from medbots import errors
from medbots.embeddings import contract as contract_module
from medbots.embeddings import documents as documents_module
from medbots.embeddings import refill, router

PROBE = "medbots db migrate"
"""The one text that is embedded before anything is made."""


ENOUGH = 50
"""Records that may be missing at the switch, where bots write as fast as they are followed: they
are made up for at once after it."""


class Stage(enum.StrEnum):
    """What is made sure of, in this order."""

    TABLE = "table"
    ROWS = "rows"
    INDEX = "index"
    SWITCH = "switch"
    SECRETS = "secrets"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Done:
    """One stage that is over."""

    stage: Stage
    changed: bool


class Tables(Protocol):
    """The tables of embeddings, as a change of the model needs them."""

    async def make(self) -> bool:
        """Make the table that the new vectors are to be in; return whether it was not there."""
        ...

    async def index(self) -> bool:
        """Build the index of the new vectors; return whether there was none."""
        ...

    async def switch(self) -> bool:
        """Let the new table come into use; return whether it was not."""
        ...

    async def settle(self) -> None:
        """Wait for the bots that run now to end."""
        ...


class Secrets(Protocol):
    """The project's secrets that tell the bots of the model."""

    async def read(self) -> contract_module.Contract:
        """Return what the bots work by."""
        ...

    async def write(self, contract: contract_module.Contract) -> None:
        """Set all of them at once."""
        ...


Bar = Callable[[str, int], AbstractContextManager[refill.Advance]]
"""Shows how far a filling is: title and number of chunks."""


async def probe(documents: documents_module.Documents, contract: contract_module.Contract) -> None:
    """Raise unless the router makes vectors of the new contract.

    Raises:
        errors.MedbotsError: it refuses, cannot be reached, or answers another dimension.
    """
    try:
        await documents.embed([PROBE], first=True)
    except documents_module.VectorError as error:
        raise documents_module.VectorError(
            f"{contract.alias} at the router is not what EMBEDDING_DIM says: {error.message}",
            hint=error.hint,
        ) from None
    except router.BusyError:
        raise
    except errors.ServerError as error:
        raise errors.ServerError(
            f"the router has no working embedding model {contract.alias}: {error.message}",
            hint=error.hint,
        ) from error


async def run(
    tables: Tables,
    secrets: Secrets,
    filler: refill.Filler,
    bar: Bar,
) -> AsyncIterator[Done]:
    """Make the new rows beside the old, then move the bots to them, and yield each stage's end.

    Until the switch the bots work with the old rows, and after it with the new. Every stage looks
    before it acts: interrupted anywhere, the next run completes what is missing.

    Raises:
        errors.MedbotsError: a stage cannot be completed. What was yielded stays, rows as far as
            they were made.
    """
    store, tally = filler.store, filler.tally
    yield Done(Stage.TABLE, await tables.make())
    try:
        with bar("embedding", sum(one.chunks for one in await store.behind())) as advance:
            await filler.fill(advance, enough=ENOUGH)
    except errors.MedbotsError:
        if tally.resources:
            yield Done(Stage.ROWS, changed=True)
        raise
    yield Done(Stage.ROWS, tally.resources > 0)
    yield Done(Stage.INDEX, await tables.index())
    # The index took its time, and the bots went on.
    with bar("catching up", sum(one.chunks for one in await store.behind())) as advance:
        await filler.fill(advance, enough=ENOUGH)
    yield Done(Stage.SWITCH, await tables.switch())
    behind = await secrets.read() != filler.contract
    if behind:
        await secrets.write(filler.contract)
    yield Done(Stage.SECRETS, behind)
    # At once, for the searches; then for what the bots of before have written last.
    before = tally.resources
    await filler.fill()
    if behind:
        await tables.settle()
        await filler.fill()
    yield Done(Stage.LATE, tally.resources > before)
