"""Records embedded by the bot, one by one: what its answers amount to, and whose fault they are."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from medbots import config, errors
from medbots.bots import deployed, embedder
from medbots.embeddings.faults import Outcome
from medbots.medplum import auth, sessions
from tests.support.inventory import KIND, version
from tests.support.medplum_transport import outcome as refusal
from tests.support.ward import Ward

ONE = version(0)


def failing(code: str | None, **details: Any) -> dict[str, Any]:
    """Return what a bot answers that could not do it."""
    named = {} if code is None else {"errorCode": code}
    return {"success": False, **named, "message": "no", "details": details}


@pytest.fixture
def ward() -> Ward:
    """A project with an Embedding Bot."""
    return Ward(answers={"embedding": {"success": True}})


async def embed(ward: Ward, path: Any) -> Outcome:
    """Have one record embedded."""
    settings = config.resolve({}, {"MEDPLUM_ACCESS_TOKEN": "token"}, {}, {})
    store = sessions.Sessions(path)
    async with auth.connect(settings, store, transport=ward.transport()) as client:
        bot = await deployed.bot(client, "urn:medbots", embedder.KEY, [embedder.KEY])
        return await embedder.BotEmbedder(client, bot).embed(KIND, [ONE])


async def test_a_record_is_done(ward: Ward, tmp_path: Any) -> None:
    """The bot is told type and id, and what it did counts."""
    found = await embed(ward, tmp_path)
    assert (found.done, found.failed, found.down) == (1, {}, [])
    assert ward.inputs == [("embedding", {"resourceType": KIND, "id": ONE.id})]


@pytest.mark.parametrize(
    ("answer", "code", "own"),
    [
        (failing("INVALID_INPUT"), "INVALID_INPUT", True),
        (failing("EMBEDDING_ERROR"), "EMBEDDING_ERROR", True),
        (failing(None), "EMBEDDING_ERROR", True),
        (failing("SOMETHING_OF_THEIRS"), "EMBEDDING_ERROR", True),
        (failing("LLM_ROUTER_ERROR", status=400), "LLM_ROUTER_ERROR", True),
        (failing("LLM_ROUTER_ERROR", status=413), "LLM_ROUTER_ERROR", True),
        (failing("LLM_ROUTER_ERROR", status=401), "LLM_ROUTER_ERROR", False),
        (failing("LLM_ROUTER_ERROR", status=404), "LLM_ROUTER_ERROR", False),
        (failing("LLM_ROUTER_ERROR", status=503), "LLM_ROUTER_ERROR", False),
        (failing("LLM_ROUTER_ERROR", cause="ECONNREFUSED"), "LLM_ROUTER_ERROR", False),
        (failing("LLM_ROUTER_ERROR", status=[400]), "LLM_ROUTER_ERROR", False),
        (failing("TIMEOUT"), "TIMEOUT", False),
        (failing("DB_ERROR"), "DB_ERROR", False),
        (failing("DIMENSION_MISMATCH"), "DIMENSION_MISMATCH", False),
        (httpx.Response(400, json=refusal("boom")), "EMBEDDING_ERROR", False),
    ],
    ids=str,
)
async def test_each_failure_has_its_code_and_its_fault(
    answer: Any, code: str, own: bool, ward: Ward, tmp_path: Any
) -> None:
    """No failure is lost; only what no other record would share is the record's own."""
    ward.answers["embedding"] = answer
    found = await embed(ward, tmp_path)
    assert (found.done, found.failed) == (0, {ONE.id: code})
    assert found.down == ([] if own else [ONE.id])


async def test_a_server_that_lets_nobody_run_bots_ends_it(ward: Ward, tmp_path: Any) -> None:
    """That is no fault of any record: the run ends with it."""
    ward.answers["embedding"] = httpx.Response(403, json=refusal("Forbidden"))
    with pytest.raises(errors.NotAllowedError):
        await embed(ward, tmp_path)
