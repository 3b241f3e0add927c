"""What a server's refusal means: one table, from status, code and message together, since providers differ in each.

The first rule that fits decides. A user's own rules go in front of `RULES`.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import msgspec

from tamiz.errors import FailureKind

__all__ = [
    "KEY_REFUSED",
    "MODEL_UNKNOWN",
    "RULES",
    "Refusal",
    "Rule",
    "Said",
    "Verdict",
    "classify",
    "is_error_text",
    "read",
    "shorten",
]


class Refusal(msgspec.Struct, frozen=True):
    """No call will ever be answered; `text` tells why, with {where}, {model} and {said} to fill in."""

    text: str


Verdict = FailureKind | Refusal
"""What a refusal means for the flow: a failed call, or a server that is of no use as it is set up."""


class Rule(msgspec.Struct, frozen=True):
    """Fits where the status is one of `statuses` (any, where empty), and the code or the message is as given.

    `codes` are compared with the error's code, type and status name, lower case; `message` is searched in its text.
    With neither, the status alone decides.
    """

    verdict: Verdict
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    message: re.Pattern[str] | None = None

    def fits(self, status: int, codes: frozenset[str], message: str) -> bool:
        """Tell whether the rule speaks of this refusal."""
        if self.statuses and status not in self.statuses:
            return False
        if not self.codes and self.message is None:
            return True
        return bool(self.codes & codes) or (self.message is not None and self.message.search(message) is not None)


class Said(msgspec.Struct, frozen=True):
    """What a refusal's body says, whatever its shape."""

    status: int
    """The HTTP status, or the one that the body names where it came with a 200."""
    codes: frozenset[str]
    message: str
    param: str | None


KEY_REFUSED: Final = Refusal("the key was refused by {where} ({said}): set OPENAI_API_KEY")
MODEL_UNKNOWN: Final = Refusal("model {model!r} is unknown to {where} ({said})")
_NOT_ALLOWED: Final = Refusal("{where} does not allow this key to use model {model!r} ({said})")
_NO_SUCH_ADDRESS: Final = Refusal("nothing answers at {where}/chat/completions ({said}): is the address right?")
_MOVED: Final = Refusal("{where} is not the server's address ({said}): give the one it names")


def _text(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


def _of(*values: int) -> frozenset[int]:
    return frozenset(values)


_REFUSING: Final = _of(0, 400, 402, 403, 429, 500, 503, 529)
_ASKED_WRONG: Final = _of(0, 400, 403, 413, 422, 451, 500)

RULES: Final[tuple[Rule, ...]] = (
    # A short window passes by itself, even where the provider calls it a quota.
    Rule(
        FailureKind.OVERLOAD,
        _of(0, 403, 429, 503),
        message=_text(r"(?<![a-z])per[ _-]?(minute|second)", r"\d ?/ ?(min|sec|s)\b", r"\b[RT]P[MS]\b", r"concurren"),
    ),
    Rule(
        FailureKind.QUOTA,
        _REFUSING,
        frozenset(
            {
                "insufficient_quota",
                "billing_hard_limit_reached",
                "billing_not_active",
                "quota_exceeded",
                "insufficient_balance",
                "insufficient_credits",
                "insufficient_funds",
                "credit_balance_too_low",
                "payment_required",
            }
        ),
        _text(
            r"exceeded.{0,40}\bquota\b",
            r"\bquota\b.{0,60}(exceeded|exhausted|reached|used up)",
            r"insufficient[ _-](quota|balance|credit|fund)",
            r"(credit|balance).{0,40}(too low|exhausted|used up|exceeded|depleted)",
            r"(out of|no|not enough|more) credits?\b",
            r"billing.{0,20}limit",
            r"(?<![a-z])per[ _-]?(day|month)|\b(daily|monthly)\b.{0,40}\blimit|\b[RT]PD\b",
        ),
    ),
    Rule(FailureKind.QUOTA, _of(402)),
    Rule(
        FailureKind.INVALID,
        _ASKED_WRONG,
        frozenset(
            {
                "content_filter",
                "content_policy_violation",
                "responsibleaipolicyviolation",
                "moderation_blocked",
                "context_length_exceeded",
                "exceed_context_size_error",
                "string_above_max_length",
                "request_too_large",
            }
        ),
        _text(
            r"content[ _-]?(policy|filter|management)",
            r"moderation|flagged|safety (system|setting|polic)",
            r"context (length|size|window)|maximum.{0,20}(context|tokens)",
            r"(prompt|input|request) (is |body )?too (long|large)",
        ),
    ),
    Rule(
        KEY_REFUSED,
        _of(0, 400, 401, 403),
        frozenset({"invalid_api_key", "authentication_error", "unauthenticated", "invalid_authentication"}),
        _text(r"\b(invalid|incorrect|missing|no|wrong|expired)\b.{0,20}\bapi[ _-]?key|api[ _-]?key.{0,20}not valid"),
    ),
    Rule(
        MODEL_UNKNOWN,
        _of(0, 400, 403, 404, 422),
        frozenset({"model_not_found", "model_not_exist"}),
        _text(r"\bmodel\b.{0,120}(\bnot|n't) (exist|found|available)|(unknown|no such|invalid) model"),
    ),
    Rule(KEY_REFUSED, _of(401)),
    Rule(_NOT_ALLOWED, _of(403)),
    Rule(_NO_SUCH_ADDRESS, _of(404)),
    Rule(_MOVED, _of(301, 302, 303, 307, 308)),
    Rule(FailureKind.TIMEOUT, _of(0), frozenset({"timeout", "timeout_error", "request_timeout"})),
    Rule(FailureKind.INVALID, _of(0), frozenset({"invalid_request_error", "bad_request", "invalid_argument"})),
    Rule(FailureKind.INVALID, _of(400, 413, 422)),
    Rule(FailureKind.FATAL, _of(501, 505)),
    Rule(FailureKind.OVERLOAD, _of(0, 408, 409, 423, 425, 429, *range(500, 600))),
)
"""Status 0 is an error that came with a 200 and names no status of its own."""


def classify(said: Said, rules: Iterable[Rule] = RULES) -> Verdict:
    """Give the verdict of the first rule that fits, `FATAL` where none does."""
    for rule in rules:
        if rule.fits(said.status, said.codes, said.message):
            return rule.verdict
    return FailureKind.FATAL


# A gateway's failure sent as if the model had said it. Narrow on purpose: one short line that begins like an error and
# speaks of a server's trouble, so that an answer about errors stays an answer.
_ERROR_TEXT: Final = re.compile(
    r"\s*([45]\d\d\s+)?(error\s*[:\-]|\[error\]|(internal|upstream|gateway|server) (server )?error\b"
    r"|service unavailable|bad gateway|too many requests)"
    r"[^\n]{0,160}\s*",
    re.IGNORECASE,
)
_SERVER_TROUBLE: Final = _text(
    r"upstream|unavailable|time[d]?[ -]?out|overload|rate.?limit|too many requests|quota|bad gateway|internal server",
    r"connection (refused|reset|closed|error|failed)|try again later|\b(429|50[0234])\b",
)


def is_error_text(text: str) -> bool:
    """Tell whether an answer's text is a gateway's error message in an answer's clothes."""
    return _ERROR_TEXT.fullmatch(text) is not None and _SERVER_TROUBLE.search(text) is not None


_STATUS: Final = re.compile(r"[45][0-9][0-9]")
_LONGEST_MESSAGE: Final = 300  # characters of it that a reason repeats


def read(status: int, body: object) -> Said:
    """Find code, type and message in a refusal's decoded body (or its text); every provider has a shape of its own.

    `status` 200 gives way to the status that the body names, else to 0.
    """
    if isinstance(body, list):  # some wrap it once more
        body = body[0] if body else None
    outer = body if isinstance(body, dict) else {}
    error = outer.get("error", body)
    fields = error if isinstance(error, dict) else outer
    codes = frozenset(
        str(value).lower()
        for value in (
            fields.get("code"),
            fields.get("type"),
            fields.get("status"),
            outer.get("code"),
            outer.get("type"),
        )
        if isinstance(value, str | int)
    )
    message = next(
        (text for text in (error, fields.get("message"), fields.get("detail"), outer.get("detail")) if _says(text)), ""
    )
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    if status == HTTPStatus.OK:
        status = next((int(code) for code in sorted(codes) if _STATUS.fullmatch(code)), 0)
    param = fields.get("param")
    return Said(status, codes, " ".join(message.split()), param if isinstance(param, str) else None)


def shorten(message: str) -> str:
    """Give a message fit for one line of a report."""
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"


def _says(text: object) -> bool:
    return (isinstance(text, str) and bool(text.strip())) or (isinstance(text, list) and bool(text))
