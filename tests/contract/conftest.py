"""The command line beside a database of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbots import __main__ as boundary
from medbots import config
from tests.support import postgres as support
from tests.support import shelf as shelf_module


@pytest.fixture
def shelf(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    postgres: support.Database,
    capsys: pytest.CaptureFixture[str],
) -> shelf_module.Shelf:
    """A migrated and empty store, and `medbots` without a login."""
    (tmp_path / "medbots.yaml").write_text(shelf_module.MANIFEST)
    (tmp_path / "embedding.ts").write_text("export const handler = 1;")
    for name in (*config.VARIABLES.values(), config.PROFILE, "MEDBOTS_LOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MEDBOTS_DATABASE_URL", postgres.url.reveal())
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = boundary.run(args)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    found = shelf_module.Shelf(postgres.url.reveal(), run)
    code, out, err = run("db", "migrate")
    assert code == 0, out + err
    return found
