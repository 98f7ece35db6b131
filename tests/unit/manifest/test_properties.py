"""Properties of reading a manifest, over generated manifests and generated mistakes."""

from __future__ import annotations

import copy
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from medbots import errors, manifest
from medbots.manifest import document, schema, shape

WORDS = st.text(string.ascii_letters + string.digits + " äß漢", min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)
KEYS = st.from_regex(schema.KEY, fullmatch=True).filter(lambda key: len(key) < 30)
SECRETS = st.lists(st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True), max_size=6, unique=True)
TYPES = ("Task", "Patient", "Observation", "Encounter")

POLICIES = st.fixed_dictionaries(
    {"resourceType": st.sampled_from([*TYPES, "*"])},
    optional={
        "interaction": st.lists(st.sampled_from(schema.POLICY_INTERACTIONS), unique=True),
        "readonly": st.booleans(),
    },
)


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A valid manifest, as plain data."""
    bots: dict[str, Any] = {}
    for index, key in enumerate(draw(st.lists(KEYS, min_size=1, max_size=4, unique=True))):
        secrets = draw(SECRETS)
        cut = draw(st.integers(0, len(secrets)))
        bots[key] = {
            "name": f"{draw(WORDS)} {index}",
            "source": "bot.ts",
            **draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "description": WORDS,
                        "timeout": st.integers(1, 900),
                        "runAsUser": st.booleans(),
                        "policy": st.lists(POLICIES, max_size=3, unique_by=str),
                    },
                )
            ),
            "secrets": secrets[:cut],
            "optionalSecrets": secrets[cut:],
        }
    subscriptions = {
        key: {
            "name": f"{draw(WORDS)} {index}",
            "criteria": f"{draw(st.sampled_from(TYPES))}?_id={index}",
            "bot": draw(st.sampled_from(sorted(bots))),
            **draw(
                st.fixed_dictionaries(
                    {}, optional={"interaction": st.sampled_from(schema.INTERACTIONS)}
                )
            ),
        }
        for index, key in enumerate(draw(st.lists(KEYS, max_size=4, unique=True)))
    }
    return {"version": 1, "bots": bots, "subscriptions": subscriptions}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the one source that generated bots name."""
    made = tmp_path_factory.mktemp("bots")
    (made / "bot.ts").write_text("export const handler = 1;")
    return made


def read(values: Any, folder: Path) -> manifest.Manifest:
    """Read plain data as a manifest."""
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
    return manifest.read(text.encode(), folder / "medbots.yaml")


def plain(found: manifest.Manifest) -> dict[str, Any]:
    """Return what was read as plain data with every key."""
    return {
        "bots": {
            spec.key: (
                spec.name,
                spec.source.name,
                spec.description,
                spec.timeout,
                spec.run_as_user,
                [dict(entry) for entry in spec.policy],
                list(spec.secrets),
                list(spec.optional_secrets),
            )
            for spec in found.bots
        },
        "subscriptions": {
            one.key: (one.name, one.criteria, one.bot, one.interaction)
            for one in found.subscriptions
        },
    }


@settings(max_examples=60)
@given(values=manifests())
def test_what_is_written_is_what_is_read(values: dict[str, Any], folder: Path) -> None:
    """Any valid manifest is read without a problem, and nothing of it is lost or changed."""
    assert plain(read(values, folder)) == {
        "bots": {
            key: (
                bot["name"],
                bot["source"],
                bot.get("description", ""),
                bot.get("timeout", 30),
                bot.get("runAsUser", False),
                bot.get("policy", []),
                bot["secrets"],
                bot["optionalSecrets"],
            )
            for key, bot in values["bots"].items()
        },
        "subscriptions": {
            key: (one["name"], one["criteria"], one["bot"], one.get("interaction"))
            for key, one in values["subscriptions"].items()
        },
    }


def records(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each mapping whose keys are given, with its path."""
    yield "", values
    for kind in ("bots", "subscriptions"):
        for key, entry in values[kind].items():
            yield f"{kind}.{key}", entry
            for index, policy in enumerate(entry.get("policy", [])):
                yield f"{kind}.{key}.policy[{index}]", policy


@settings(max_examples=80)
@given(data=st.data(), values=manifests())
def test_every_mistaken_key_is_reported_with_its_line(
    data: st.DataObject, values: dict[str, Any], folder: Path
) -> None:
    """A key spelled otherwise is told by its path, at the line on which it stands."""
    changed = copy.deepcopy(values)
    path, record = data.draw(st.sampled_from(list(records(changed))))
    key = data.draw(st.sampled_from(sorted(record)))
    wrong = key[:-1] + data.draw(st.sampled_from("XYZ")) + key[-1]
    items = [(wrong if name == key else name, value) for name, value in record.items()]
    record.clear()
    record.update(items)
    with pytest.raises(errors.ManifestError) as caught:
        read(changed, folder)
    text = yaml.safe_dump(changed, allow_unicode=True, sort_keys=False)
    told = {problem.path: problem for problem in caught.value.problems}
    found = told[document.join(path, wrong)]
    assert found.message.startswith("unknown key")
    assert repr(key) in found.message
    assert text.splitlines()[(found.line or 0) - 1].lstrip(" -").startswith(f"{wrong}:")


@settings(max_examples=60)
@given(data=st.data(), values=manifests())
def test_every_value_of_a_wrong_kind_is_reported(
    data: st.DataObject, values: dict[str, Any], folder: Path
) -> None:
    """No value of another kind is taken for what it is not, wherever it stands."""
    changed = copy.deepcopy(values)
    path, record = data.draw(st.sampled_from(list(records(changed))))
    key = data.draw(st.sampled_from(sorted(record)))
    record[key] = data.draw(st.sampled_from([None, 3.5, [[1]]]))
    with pytest.raises(errors.ManifestError) as caught:
        read(changed, folder)
    place = document.join(path, key)
    assert any(one.path.startswith(place) and one.line for one in caught.value.problems)


@settings(max_examples=150)
@given(raw=st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_no_text_is_an_exception(raw: bytes, folder: Path) -> None:
    """Whatever stands in the file, the answer is a manifest or its problems."""
    try:
        manifest.read(raw, folder / "medbots.yaml")
    except errors.ManifestError as error:
        assert error.problems  # noqa: PT017 (either end is right)


@given(name=st.sampled_from(["Task", "status", "runAsUser"]))
def test_the_nearest_name_ignores_case(name: str) -> None:
    """A name in other letters is still recognised."""
    assert shape.nearest(name.upper(), [name, "zzzzzz"]) == f"; did you mean {name!r}?"
