"""Static word vectors of the package `wordllama`: what words mean, for the extra `tamiz[gate]`.

Its two files are read as they are: no code of the package runs, and nothing is fetched.
"""

from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tamiz.errors import UsageError
from tamiz.gate.pair import Pair, rare
from tamiz.gate.text import Text

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ALONE", "FEATURES", "MEANING", "features", "load"]

ALONE: Final = (
    "vector.question",
    "vector.question_soft",
    "vector.asked",
    "vector.known_asked",
    "vector.strange_asked",
    "vector.short_asked",
    "vector.missing_asked",
)
MEANING: Final = (
    "vector.whole",
    "vector.beyond",
    "vector.recall",
    "vector.precision",
    "vector.text",
    "vector.text_beyond",
)
FEATURES: Final = (
    *ALONE,
    *MEANING,
    "vector.text_both",
    "vector.known",
    "vector.farthest",
    "vector.strange_both",
    "vector.strange_text",
)

_NEEDED: Final = ("numpy", "safetensors", "tokenizers", "wordllama")
_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_TOKENS: Final = "tokenizers/l2_supercat_tokenizer_config.json"
_FEW: Final = 4
_MOST: Final = 400
"""Words of a text that are compared one by one."""
_SIZE: Final = 256
_READ: Final = 2_000
"""Characters of a text that its own vector is made of."""


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


@lru_cache(maxsize=1 << 12)
def _sum(raw: str) -> "np.ndarray":
    """Give the sum of a text's tokens: what stands in it often, or weighs much in the table, counts the more."""
    import numpy as np

    table, tokenizer = load()
    total: np.ndarray = table[tokenizer.encode(raw, add_special_tokens=False).ids].astype(np.float32).sum(axis=0)
    return total


class _Words:
    """The words of a text that carry a topic: their vectors, one a row, and what each counts for."""

    def __init__(self, text: Text) -> None:
        import numpy as np

        self.stems = sorted(text.content)[:_MOST]
        self.rows = np.array([_vector(text.surface[each]) for each in self.stems], np.float32).reshape(-1, _SIZE)
        self.weights = np.array([text.weights[each] for each in self.stems], np.float32)

    def which(self, stems: frozenset[str]) -> list[int]:
        return [at for at, each in enumerate(self.stems) if each in stems]

    def sum(self, at: list[int] | slice = slice(None)) -> "np.ndarray":
        total: np.ndarray = self.weights[at] @ self.rows[at]
        return total

    def average(self, nearest: "np.ndarray", at: list[int] | slice = slice(None)) -> float:
        """Average over words; 0 of none."""
        weights = self.weights[at]
        return float(weights @ nearest[at] / weights.sum()) if len(weights) else 0.0


def features(pair: Pair) -> tuple[float, ...]:
    """Compare by meaning; see `FEATURES`, or `ALONE` where the pair has no reference. Cosines, in [-1, 1].

    Rounded to six digits: what is beyond may depend on the processor.
    """
    import numpy as np

    answer, question = _Words(pair.answer), _Words(pair.question)
    said, asked = _sum(pair.answer.raw[:_READ]), _sum(pair.question.raw[:_READ])
    near = answer.rows @ question.rows.T
    to_question, of_question = _nearest(near)
    words, texts = _cosine(answer.sum(), question.sum()), _cosine(said, asked)
    values = [
        words,
        question.average(of_question),
        texts,
        answer.average(to_question),
        # of an answer with rare words of its own, of a few words, or with none of the question's, it tells otherwise
        texts * rare(pair.said, pair.answer),
        words * (len(pair.answer.words) < _FEW),
        texts * pair.answer.content.isdisjoint(pair.question.content),
    ]
    if pair.reference is not None:
        reference, told = _Words(pair.reference), _sum(pair.reference.raw[:_READ])
        to_reference, of_reference = _nearest(answer.rows @ reference.rows.T)
        beyond, wanted = answer.which(pair.said), reference.which(pair.wanted)
        known = np.maximum(to_question, to_reference)
        strange = rare(pair.said - pair.wanted, pair.answer)
        to_both, to_told = _cosine(said, asked + told), _cosine(said, told)
        values += [
            _cosine(answer.sum(), reference.sum()),
            _cosine(answer.sum(beyond), reference.sum(wanted)),
            reference.average(of_reference, wanted),
            answer.average(to_reference, beyond),
            to_told,
            _cosine(_without(said, asked), _without(told, asked)),
            to_both,
            answer.average(known),
            float(known.min()) if len(known) else 0.0,
            strange * to_both,
            strange * to_told,
        ]
    return tuple(round(value, 6) for value in values)


def _nearest(near: "np.ndarray") -> tuple["np.ndarray", "np.ndarray"]:
    """Give how near each row's nearest column is, and each column's nearest row; 0 where there is none."""
    import numpy as np

    if not near.size:
        return np.zeros(near.shape[0]), np.zeros(near.shape[1])
    return near.max(axis=1), near.max(axis=0)


def _cosine(one: "np.ndarray", other: "np.ndarray") -> float:
    """Give the cosine of two vectors; 0 where one is none."""
    size = float(one @ one) * float(other @ other)
    return float(one @ other) / size**0.5 if size > 0 else 0.0


def _without(one: "np.ndarray", other: "np.ndarray") -> "np.ndarray":
    """Take away from a vector what lies along another."""
    size = float(other @ other)
    return one - (float(one @ other) / size) * other if size > 0 else one
