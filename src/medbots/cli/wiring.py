"""The composition root: turns the options of a run into settings, manifest and connections."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from medbots import config, errors, model
from medbots.cli import options

if TYPE_CHECKING:
    from medbots import manifest as manifest_module
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
    opts: options.Options, the_manifest: manifest_module.Manifest | None = None
) -> config.Settings:
    """Return the settings of this run; a verb that has no use for the manifest leaves it out."""
    profile = sessions().profile(opts.profile)
    from_manifest = the_manifest.settings if the_manifest else {}
    return config.resolve(opts.flags, os.environ, profile, from_manifest)


def bundles(the_manifest: manifest_module.Manifest) -> dict[str, model.Bundle]:
    """Return the bundle of each bot: built before when nothing changed, else built now.

    Raises:
        errors.BundleError: a bot cannot be bundled, or its bundle would fail on the server.
    """
    from medbots import bundler

    return bundler.bundle_all(the_manifest.bots)


@asynccontextmanager
async def connected(settings: config.Settings) -> AsyncIterator[Client]:
    """Log in, by whatever the settings hold, and yield the client."""
    from medbots.medplum import auth

    async with auth.connect(settings, sessions()) as client:
        yield client


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; Ctrl-C cancels it and leaves its cleanup to run."""
    import asyncio

    try:
        return asyncio.run(coroutine)
    except KeyboardInterrupt:
        raise errors.InterruptedByUserError from None
