"""The prompt template: what a model is asked, from a question's title and content."""

import re
from pathlib import Path
from typing import Final

from tamiz.errors import UsageError

__all__ = ["DEFAULT", "PromptTemplate", "read_template"]

_PLACE: Final = re.compile(r"\{(title|content)\}")
_LIKE_A_PLACE: Final = re.compile(r"(?<!\{)\{ *[a-z_]+ *\}(?!\})", re.IGNORECASE)


class PromptTemplate:
    """Text with `{title}` and `{content}`; every other brace stands for itself."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def strange(self) -> list[str]:
        """What looks like a place and is none, such as `{question}`."""
        return sorted({found for found in _LIKE_A_PLACE.findall(self.text) if not _PLACE.fullmatch(found)})

    def render(self, title: str, content: str) -> str:
        """Fill in the question; blanks around the result are dropped."""
        values = {"title": title, "content": content}
        return _PLACE.sub(lambda place: values[place[1]], self.text).strip()


DEFAULT: Final = PromptTemplate("{title}\n\n{content}")


def read_template(path: str | None) -> PromptTemplate:
    """Read a template from a file in UTF-8; `None` is the default one.

    Raises `UsageError` where it cannot be read or names neither `{title}` nor `{content}`.
    """
    if path is None:
        return DEFAULT
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"--prompt {path}: cannot be read: {why}; give a text file with {{title}} and {{content}}"
        ) from error
    if not _PLACE.search(text):
        raise UsageError(
            f"--prompt {path}: names neither {{title}} nor {{content}}, so every question would be the same"
        )
    return PromptTemplate(text)
