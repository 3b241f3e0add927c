"""Static word vectors of the package `wordllama`: what words mean, for the extra `tamiz[gate]`.

Its two files are read as they are: no code of the package runs, and nothing is fetched.
"""

from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tamiz.errors import UsageError
from tamiz.gate.pair import Pair
from tamiz.gate.text import Text

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ALONE", "FEATURES", "features", "load"]

ALONE: Final = ("vector.question", "vector.question_soft")
FEATURES: Final = (*ALONE, "vector.whole", "vector.beyond", "vector.recall", "vector.precision")

_NEEDED: Final = ("numpy", "safetensors", "tokenizers", "wordllama")
_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_TOKENS: Final = "tokenizers/l2_supercat_tokenizer_config.json"
_MOST: Final = 400
"""Words of a text that are compared one by one."""


@cache
def load() -> tuple[Any, Any]:
    """Read the table of vectors and the tokenizer, once a process. Raises `UsageError` where the extra is missing."""
    spec = find_spec("wordllama") if all(find_spec(name) is not None for name in _NEEDED) else None
    if spec is None or spec.origin is None:
        raise UsageError("word vectors need an extra that is not installed: pip install 'tamiz[gate]'")
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = Path(spec.origin).parent
    table = load_file(folder / _WEIGHTS)["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(folder / _TOKENS))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return table, tokenizer


@lru_cache(maxsize=1 << 14)
def _vector(word: str) -> "np.ndarray":
    """Give the unit vector of a word: the mean of its tokens'."""
    import numpy as np

    table, tokenizer = load()
    ids = tokenizer.encode(word, add_special_tokens=False).ids
    vector: np.ndarray = table[ids].astype(np.float32).mean(axis=0)
    return vector / (float(np.linalg.norm(vector)) or 1.0)


def features(pair: Pair) -> tuple[float, ...]:
    """Compare by meaning; see `FEATURES`, or `ALONE` where the pair has no reference. Cosines, in [-1, 1].

    Rounded to six digits: what is beyond may depend on the processor.
    """
    answer, question = pair.answer, pair.question
    values = [_cosine(answer, answer.content, question, question.content), _soft(question, question.content, answer)]
    if pair.reference is not None:
        reference = pair.reference
        values += [
            _cosine(answer, answer.content, reference, reference.content),
            _cosine(answer, pair.said, reference, pair.wanted),
            _soft(reference, pair.wanted, answer),
            _soft(answer, pair.said, reference),
        ]
    return tuple(round(value, 6) for value in values)


def _matrix(text: Text, stems: frozenset[str]) -> "np.ndarray":
    import numpy as np

    chosen = sorted(stems)[:_MOST]
    return np.stack([_vector(text.surface[each]) for each in chosen])


def _weights(text: Text, stems: frozenset[str]) -> "np.ndarray":
    import numpy as np

    return np.array([text.weights[each] for each in sorted(stems)[:_MOST]], dtype=np.float32)


def _cosine(one: Text, ours: frozenset[str], other: Text, theirs: frozenset[str]) -> float:
    """Give the cosine of two sums of words; 0 where a side has none."""
    import numpy as np

    if not ours or not theirs:
        return 0.0
    a = _weights(one, ours) @ _matrix(one, ours)
    b = _weights(other, theirs) @ _matrix(other, theirs)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) or 1.0))


def _soft(one: Text, ours: frozenset[str], other: Text) -> float:
    """Give how near each of some words is to its nearest word of the other text, on average; 0 where there is none."""
    if not ours or not other.content:
        return 0.0
    nearest = (_matrix(one, ours) @ _matrix(other, other.content).T).max(axis=1)
    weights = _weights(one, ours)
    return float(weights @ nearest / weights.sum())
