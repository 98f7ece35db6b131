"""Runs a bot for a verb, as the logged-in user, and ends the command as the bot's answer says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medbots import errors
from medbots.cli import error_json, options, render, wiring

if TYPE_CHECKING:
    from medbots.manifest import Manifest
    from medbots.medplum.client import Client


def of(opts: options.Options, key: str, body: Any, limit: float | None = None) -> Any:
    """Return the answer of a bot; `limit` in seconds.

    Raises:
        errors.MedbotsError: the bot does not run, or threw an error.
    """
    return wiring.run(_ask(opts, key, body, limit))


async def _ask(opts: options.Options, key: str, body: Any, limit: float | None) -> Any:
    the_manifest = wiring.manifest(opts)
    async with wiring.connected(wiring.settings(opts, the_manifest)) as client:
        return await ask(client, opts, the_manifest, key, body, limit)


async def ask(
    client: Client,
    opts: options.Options,
    the_manifest: Manifest,
    key: str,
    body: Any,
    limit: float | None = None,
) -> Any:
    """Return the answer of a bot, over a connection that is there.

    Raises:
        errors.MedbotsError: the bot does not run, or threw an error.
    """
    from medbots.bots import deployed, execution

    keys = [bot.key for bot in the_manifest.bots]
    bot = await deployed.bot(client, the_manifest.namespace, key, keys)
    limit = execution.TIME_LIMIT if limit is None else limit
    return await execution.run(client, bot, body, limit=limit, verbose=opts.verbose)


def failure(opts: options.Options, key: str, answer: Any) -> errors.BotFailedError | None:
    """Return what the answer of a bot that could not do it amounts to; None for any other."""
    from medbots.bots import execution

    return execution.failure(key, answer, verbose=opts.verbose)


def document(answer: Any, failed: errors.BotFailedError | None) -> Any:
    """Return a bot's answer as JSON shows it: its own, and of a failure the contract's `error`.

    A bot that has a member of this name keeps it: its answer is not to be rewritten.
    """
    if failed is None or not isinstance(answer, dict) or "error" in answer:
        return answer
    return {**answer, "error": error_json.document(failed)}


def expect_success(opts: options.Options, failed: errors.BotFailedError | None) -> None:
    """Go on only if the bot did what it was asked; with JSON, its answer has been printed.

    Raises:
        errors.BotFailedError: it says that it could not.
    """
    if failed is None:
        return
    if opts.json:
        # stdout holds the bot's own answer; why it failed stands beside it.
        render.note(f"error: {failed.message}")
        if failed.hint:
            render.note(f"hint: {failed.hint}")
        failed.reported = True
    raise failed


def finished(
    opts: options.Options, key: str, answer: Any, cures: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Return the answer of a bot that did what it was asked, for text to be made of it.

    With JSON the answer is printed, and None is returned. Warnings go to stderr.

    Args:
        opts: of the run.
        key: the bot's.
        answer: what it answered.
        cures: what helps in this verb, by the bot's error codes, where it is not the usual.

    Raises:
        errors.BotFailedError: it says that it could not.
        errors.ServerError: it answered something else than medbots' bot does.
    """
    if not isinstance(answer, dict) or "success" not in answer:
        raise errors.ServerError(
            f"bot {key!r} answered something else than it should",
            hint=f"medbots deploy --only {key}",
        )
    failed = failure(opts, key, answer)
    if failed is not None:
        failed.hint = (cures or {}).get(str(answer.get("errorCode")), failed.hint)
    if opts.json:
        render.json(document(answer, failed))
    expect_success(opts, failed)
    for warning in answer.get("warnings") or ():
        render.note(f"warning: {render.visible(str(warning))}")
    return None if opts.json else answer
