"""What the stack remembers between runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medbots import errors
from medbots.local import stackfile


def test_saved_and_loaded(tmp_path: Path) -> None:
    """What was saved comes back, from a file that only its owner can read."""
    path = tmp_path / "stack" / "stack.json"
    content = stackfile.Stackfile(
        ports={"medplum": stackfile.Port(8103, given=True)},
        models=stackfile.Models("minilm", 384, "small", "wise", {"smaller": 256}),
    )
    stackfile.save(path, content)
    assert stackfile.load(path) == content
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_stack_that_had_no_chat(tmp_path: Path) -> None:
    """A file from before the chat model is read, and the usual alias taken."""
    path = tmp_path / "stack.json"
    stackfile.save(path, stackfile.Stackfile())
    document = json.loads(path.read_text())
    del document["models"]["chat_alias"]
    path.write_text(json.dumps(document))
    known = stackfile.load(path)
    assert known is not None
    assert known.models.chat_alias == "clinical-model"


def test_nothing_remembered(tmp_path: Path) -> None:
    """Where there is no file, nothing is remembered."""
    assert stackfile.load(tmp_path / "stack.json") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"version": 1, "credentials": {}, "ports": [], "models": {}}),
        json.dumps({"version": 1, "credentials": {"x": 1}, "ports": {}, "models": {}}),
        json.dumps({"version": 2, "credentials": {}, "ports": {}, "models": {}}),
    ],
)
def test_a_broken_file(tmp_path: Path, text: str) -> None:
    """A file that cannot be read is an error that names it and the way out."""
    path = tmp_path / "stack.json"
    path.write_text(text)
    with pytest.raises(errors.LocalStackError) as caught:
        stackfile.load(path)
    assert str(path) in caught.value.message
    assert "medbots local reset" in (caught.value.hint or "")


def test_every_stack_has_its_own_credentials() -> None:
    """Passwords are generated, differ, and are long enough for the server."""
    one, other = stackfile.Credentials(), stackfile.Credentials()
    secrets = {
        value
        for known in (one, other)
        for value in (
            known.super_admin_password,
            known.owner_password,
            known.client_secret,
            known.llm_api_key,
        )
    }
    assert len(secrets) == 8
    assert all(len(value) >= 24 for value in secrets)
    assert not any(value in repr(stackfile.Stackfile(credentials=one)) for value in secrets)


def test_former_aliases_are_kept() -> None:
    """Who embeds again by another model still asks by the former one; one that is back is not."""
    models = stackfile.Models().changed(None, 512, "wide", None)
    assert (models.alias, models.dimension) == ("wide", 512)
    assert models.former == {"embedding-model": 768}
    assert models.changed(None, None, None, None) == models
    back = models.changed(None, 768, "embedding-model", "wise")
    assert (back.alias, back.chat_alias, back.former) == ("embedding-model", "wise", {"wide": 512})
