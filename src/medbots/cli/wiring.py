"""The composition root: turns the options of a run into settings, manifest and connections."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from medbots import config, errors
from medbots.cli import options

if TYPE_CHECKING:
    from medbots import manifest as manifest_module
    from medbots import model
    from medbots.bundler import Built
    from medbots.medplum.client import Client
    from medbots.medplum.sessions import Sessions

T = TypeVar("T")


def sessions() -> Sessions:
    """Return the store of sessions and profiles."""
    from medbots.medplum import sessions as sessions_module

    return sessions_module.Sessions(config.state_dir(os.environ))


def manifest(opts: options.Options) -> manifest_module.Manifest:
    """Return the manifest of this run.

    Raises:
        errors.ManifestError: with every problem in it.
    """
    from medbots import manifest as manifest_module

    return manifest_module.load(opts.manifest)


def settings(
    opts: options.Options,
    the_manifest: manifest_module.Manifest | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    without: Collection[str] = (),
    new_profile: bool = False,
) -> config.Settings:
    """Return the settings of this run; a verb that has no use for the manifest leaves it out.

    Args:
        opts: the global options.
        the_manifest: whose settings stand below the profile's.
        flags: settings that the verb's own flags give.
        without: variables that neither environment nor profile shall provide.
        new_profile: whether the profile may be one that is not there yet.

    Raises:
        errors.UsageError: a value is not valid, or there is no such profile.
    """
    from medbots.cli import narration

    narration.start(opts)
    name = opts.profile or os.environ.get(config.PROFILE) or None
    profile = sessions().profile(name, new=new_profile)
    from_manifest = the_manifest.settings if the_manifest else {}
    return config.resolve(
        {**opts.flags, **(flags or {})},
        {key: value for key, value in os.environ.items() if key not in without},
        {key: value for key, value in profile.items() if key not in without},
        from_manifest,
    )


def bundles(the_manifest: manifest_module.Manifest) -> dict[str, model.Bundle]:
    """Return the bundle of each bot: built before when nothing changed, else built now.

    Raises:
        errors.BundleError: a bot cannot be bundled, or its bundle would fail on the server.
    """
    from medbots import bundler

    return bundler.bundle_all(the_manifest.bots)


def examine(the_manifest: manifest_module.Manifest, only: str | None = None) -> list[Built]:
    """Return what became of each bot's source, also where a bundle would be refused.

    Raises:
        errors.UsageError: no bot's key matches `only`.
    """
    from medbots import bundler, desired, model

    bots = the_manifest.bots
    if only is not None:
        bots = desired.only(model.Desired(the_manifest.namespace, bots), only).bots
    return list(bundler.examine(bots))


@asynccontextmanager
async def connected(settings: config.Settings) -> AsyncIterator[Client]:
    """Log in, by whatever the settings hold, and yield the client."""
    from medbots.medplum import auth

    async with auth.connect(settings, sessions()) as client:
        yield client


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; Ctrl-C cancels it and leaves its cleanup to run."""
    try:
        import asyncio

        # Windows' default loop cannot wait for a database connection.
        factory = asyncio.SelectorEventLoop if sys.platform == "win32" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)
    except KeyboardInterrupt:
        raise errors.InterruptedByUserError from None
    finally:
        # Ctrl-C may come before it has begun; Python would tell the user that it never did.
        coroutine.close()
