"""FHIRPath criteria: what the server cannot parse, or could never hold, is refused."""

from __future__ import annotations

import pytest

from medbots.manifest import fhirpath


@pytest.mark.parametrize(
    "text",
    [
        "%previous.status != 'finished' and %current.status = 'finished'",
        "%previous.exists().not() or %previous.status != %current.status",
        "%current.code.coding.where(system = 'http://loinc.org').exists()",
        "status = 'finished'",
        "%current.value.ofType(Quantity).value > 4.5",
        "%current.extension('http://example.org/x').value is string",
        "(%current.name[0].given | %previous.name.family).count() >= 2",
        "-1 < %current.priority.length() // a comment",
        "%current.authoredOn > @2024-01-01T00:00:00Z",
        "{}.empty()",
        "%current.valueQuantity > 4 'mg'",
        "$this.status.lower() in ('a' | 'b')",
    ],
)
def test_expressions_that_the_server_parses_are_accepted(text: str) -> None:
    """The grammar is the server's own."""
    assert list(fhirpath.problems(text, "Observation" if "value" in text else None)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%current.status = ", "expected a value at the end"),
        ("%current.status = = 'x'", "expected a value before '=' at character 19"),
        ("(%current.status = 'x'", "`(` is not closed by `)` before the end"),
        ("%current.status = 'x')", "unexpected ')' at character 22"),
        ("%current.name[0", "`[` is not closed by `]` before the end"),
        ("%current.status = 'x", "text without its closing quote at character 19"),
        ("%current.status == 'x'", "expected a value before '=' at character 18"),
        ("%current.status; 1", "cannot read ';' at character 16"),
        ("%current.status && true", "expected a value before '&'"),
        ("%curent.status = 'x'", "%curent is not defined, only %current and %previous; did you"),
        ("%resource.status = 'x'", "%resource is not defined"),
        ("%current.status.exist()", "there is no function exist(); did you mean 'exists'?"),
        ("%current.sttaus = 'x'", "Encounter has no element 'sttaus'; did you mean 'status'?"),
        ("$index = 1", "$index: the server knows only $this"),
        ("// nothing", "expected a value at the end"),
    ],
)
def test_expressions_that_could_never_hold_are_refused(text: str, said: str) -> None:
    """One sentence says what and where."""
    found = list(fhirpath.problems(text, "Encounter"))
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("%previous.status != 'finished'", True),
        ("%previous.status.exists().not() or %previous.status != 'finished'", False),
        ("%previous.empty() or %previous.status != 'finished'", False),
        ("%current.status != 'finished'", False),
    ],
)
def test_a_comparison_with_nothing_is_warned_of(text: str, warned: bool) -> None:
    """On a create `%previous` is empty, and the comparison is not true."""
    assert bool(list(fhirpath.warnings(text))) is warned
