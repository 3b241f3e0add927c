"""The settings that shape outcomes: questions are the same only under the same of them."""

import json
from collections.abc import Mapping
from typing import Self

import msgspec

from tamiz.identity import digest
from tamiz.prompt import PromptTemplate
from tamiz.settings import Settings

__all__ = ["Shape", "differing"]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What shapes answers and what becomes of them; open questions are finished under the shape they began with."""

    asked_how: str
    """The digest of what shapes an answer: it is part of every question's identity."""
    settings: dict[str, str | int | float | None]
    """All of them, by name."""
    digest: str
    """The first 12 digits of the ids of all submissions under these settings."""

    @classmethod
    def of(cls, settings: Settings, template: PromptTemplate) -> Self:
        """Take them from the settings."""
        asked_how = digest(
            *settings.model,
            "|",
            *settings.escalate,
            "|",
            template.text,
            settings.system,
            settings.max_answer_tokens,
            settings.seed,
        )
        shape: dict[str, str | int | float | None] = {
            "model": " ".join(settings.model),
            "escalate": " ".join(settings.escalate),
            "prompt": digest(template.text, size=4),
            "system": settings.system,
            "max_answer_tokens": settings.max_answer_tokens,
            "seed": settings.seed,
            "threshold": settings.threshold,
            "attempts": settings.attempts,
            "scorer": settings.scorer,
            "check": " ".join(settings.check),
            "unscored": settings.unscored,
        }
        # without checks it is what it was before there were any: state files of then go on
        told = {name: value for name, value in shape.items() if name != "check" or value}
        return cls(asked_how=asked_how, settings=shape, digest=digest(asked_how, json.dumps(told))[:12])


def differing(there: Mapping[str, object], here: Mapping[str, object], then: str, now: str) -> str:
    """Say which settings have another value; `then` and `now` say whose the values are. Empty where none has."""
    names = [name for name in here if name in there and there[name] != here[name]]
    return ", ".join(f"{name} {there[name]!r} {then}, {here[name]!r} {now}" for name in names)
