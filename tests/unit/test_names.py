"""What models are called where their addresses are not told."""

import re

import pytest

from tamiz.models.names import name_of, names_of


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("openai:gpt-4o-mini", "gpt-4o-mini"),
        ("openai+http://10.0.0.7:8000/v1#org/m-1", "org/m-1"),
        ("openai+https://h/v1#m", "m"),
        ("ollama:llama3.2:1b", "llama3.2:1b"),
        ("local:smollm2-135m", "smollm2-135m"),
        ("local:/home/ann/models/own.Q4.gguf", "own.Q4"),
        ("local:own.gguf", "own"),
        ("simulated:?quality=0.7&seed=3", "simulated"),
        ("llama3.2:latest", "llama3.2:latest"),
        ("gpt-4o", "gpt-4o"),
        ("by hand", "by hand"),
    ],
)
def test_a_name_has_neither_address_nor_path(url: str, name: str) -> None:
    """What a server calls itself stays as it is."""
    assert name_of(url) == name


def test_names_that_several_share_are_told_apart_whatever_their_order() -> None:
    urls = ("openai+http://a/v1#m", "openai:other", "openai+http://b/v1#m")
    names = names_of(urls)
    assert names["openai:other"] == "other"
    assert len(set(names.values())) == 3
    assert all(re.fullmatch("m@[0-9a-f]{6}", names[url]) for url in (urls[0], urls[2]))
    assert names_of(reversed(urls)) == names
    assert names_of((*urls, urls[0])) == names
