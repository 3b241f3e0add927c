"""What the texts of a question must be that is to be kept: what its file could hold too (see `tamiz.datasets.rows`)."""

import msgspec

__all__ = ["clean", "said"]


def clean(most: int) -> msgspec.Meta:
    """Ask for a text of at most so many characters, none of them NUL."""
    why = f"a text of at most {most:,} characters without NUL"
    return msgspec.Meta(max_length=most, pattern=r"^[^\x00]*$", description=why)


def said(most: int) -> msgspec.Meta:
    """Ask for the same, and for a character that is no blank."""
    why = f"a text of 1 to {most:,} characters without NUL, not all of them blanks"
    return msgspec.Meta(min_length=1, max_length=most, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", description=why)
