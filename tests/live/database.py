"""A database for tests that change what all projects of one share."""

from __future__ import annotations

import contextlib
import dataclasses
import urllib.parse
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.live.target import Target


@contextlib.contextmanager
def of_its_own(target: Target) -> Iterator[Target]:
    """Give the target with a database that no other project uses."""
    name = f"live_{uuid.uuid4().hex[:12]}"
    parts = urllib.parse.urlsplit(target.database_url)
    with psycopg.connect(target.database_url, autocommit=True) as owner:
        try:
            owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            pytest.skip("the database's owner may not make databases")
        try:
            url = parts._replace(path=f"/{name}").geturl()
            yield dataclasses.replace(target, database_url=url)
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            owner.execute(drop)
