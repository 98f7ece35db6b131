"""YAML that cannot be read, or says a thing twice."""

from __future__ import annotations

import pytest

from medbots.manifest import document


def problems(raw: bytes) -> list[str]:
    """What is wrong with this text."""
    return [str(problem) for problem in document.parse(raw)[1]]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "line 1: the file is empty"),
        (b"# only a comment\n", "line 1: the file is empty"),
        (b"a: 1\nb: [1, 2\n", "line 3: not YAML: "),
        (b"a: 1\n\tb: 2\n", "line 2: not YAML: "),
        (b"a: 1\nb: \xff\n", "line 2: not UTF-8 text"),
        (b"a: 1\nb: \x01\n", "line 2: not YAML: "),
        (b"a: 1\n---\nb: 2\n", "line 2: not YAML: "),
        (b"a: *nowhere\n", "line 1: not YAML: found undefined alias"),
        (b"a: !!python/object:os.system x\n", "line 1: a: not a value: could not determine"),
        (b"a: 2026-99-99\n", "line 1: a: not a value: "),
        (b"a: &x [*x]\n", "line 1: a[0]: an alias that contains itself"),
        (b"? [a]\n: 1\n", "line 1: a key must be text"),
        (b"a: " + b"[" * 500, "nested too deeply"),
        (b"a: " + b"x" * 1_000_001, "larger than 1,000,000 bytes"),
    ],
)
def test_text_that_is_no_document_is_told_with_its_line(raw: bytes, problem: str) -> None:
    """Whatever the bytes, there is one clear problem and no exception."""
    found = problems(raw)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_a_key_that_stands_twice_names_both_lines() -> None:
    """YAML parsers keep the last silently; here it is a problem with its path."""
    raw = b"bots:\n  writer:\n    name: A\n    timeout: 3\n    name: B\nbots: {}\n"
    assert problems(raw) == [
        "line 6: bots: stands twice, first in line 1",
        "line 5: bots.writer.name: stands twice, first in line 3",
    ]


def test_an_alias_used_often_is_read_once() -> None:
    """A document that would expand to billions of nodes is read in no time."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    root, found = document.parse("\n".join(lines).encode())
    assert root is not None
    assert found == []


def test_lines_are_those_of_the_value_and_of_its_key() -> None:
    """A problem points at the line where the user looks."""
    root, _ = document.parse(b"a:\n  b:\n    - 1\n    - 2\n")
    assert root is not None
    inner = root.value["a"].value["b"]
    assert (root.value["a"].key_lines, [item.line for item in inner.value]) == ({"b": 2}, [3, 4])
