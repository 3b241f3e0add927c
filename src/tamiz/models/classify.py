"""What a server's refusal means: from status, code and message together, since providers differ in each.

The first rule that fits decides; the rules are data, in `refusals.toml` and in a user's `tamiz.toml`.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, cast

from tamiz.errors import FailureKind
from tamiz.models.refusals import Refusal, Rule, Verdict, rules
from tamiz.models.said import Said, read, shorten

__all__ = [
    "MODEL_UNKNOWN",
    "RULES",
    "Refusal",
    "Rule",
    "Said",
    "Verdict",
    "classify",
    "is_error_text",
    "read",
    "rules",
    "shorten",
]

RULES: Final = rules()
"""The shipped rules."""


def classify(said: Said, rules: Iterable[Rule] = RULES) -> Verdict:
    """Give the verdict of the first rule that fits, `FATAL` where none does."""
    return next((rule.verdict for rule in rules if rule.fits(said)), FailureKind.FATAL)


MODEL_UNKNOWN: Final = cast(
    "Refusal", classify(Said(HTTPStatus.NOT_FOUND, frozenset({"model_not_found"}), "", param=None))
)
"""What a server that does not have the model is told to be, also where it is its list of models that tells so."""

# A gateway's failure sent as if the model had said it. Narrow on purpose: one short line that begins like an error and
# speaks of a server's trouble, so that an answer about errors stays an answer.
_ERROR_TEXT: Final = re.compile(
    r"\s*([45]\d\d\s+)?(error\s*[:\-]|\[error\]|(internal|upstream|gateway|server) (server )?error\b"
    r"|service unavailable|bad gateway|too many requests)"
    r"[^\n]{0,160}\s*",
    re.IGNORECASE,
)
_SERVER_TROUBLE: Final = re.compile(
    r"upstream|unavailable|time[d]?[ -]?out|overload|rate.?limit|too many requests|quota|bad gateway|internal server"
    r"|connection (refused|reset|closed|error|failed)|try again later|\b(429|50[0234])\b",
    re.IGNORECASE,
)


def is_error_text(text: str) -> bool:
    """Tell whether an answer's text is a gateway's error message in an answer's clothes."""
    return _ERROR_TEXT.fullmatch(text) is not None and _SERVER_TROUBLE.search(text) is not None
