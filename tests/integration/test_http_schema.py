"""Every call of the OpenAPI document, with made-up requests, right ones and wrong ones: none fails unexpectedly."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from http_service import Running, in_a_thread
from waiting import PATIENCE

EXAMPLES = 6


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a service whose model answers at once."""
    with in_a_thread(tmp_path_factory.mktemp("service"), queue=100_000) as made:
        yield made


@pytest.fixture(scope="module")
def schema(running: Running) -> Any:
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json")


def test_the_document_names_every_call(schema: Any) -> None:
    found = {(operation.ok().method.upper(), operation.ok().path) for operation in schema.get_all_operations()}
    assert found >= {
        ("POST", "/questions"),
        ("GET", "/questions/{message_id}"),
        ("GET", "/cache/stats"),
        ("POST", "/cache/lookup"),
        ("PUT", "/cache"),
        ("DELETE", "/cache"),
        ("DELETE", "/cache/{key}"),
        ("PUT", "/cache/policy"),
        ("POST", "/score"),
        ("POST", "/score/batch"),
        ("POST", "/datasets"),
        ("GET", "/answers"),
        ("GET", "/answers/{message_id}"),
        ("GET", "/stats"),
        ("GET", "/dead-letters"),
        ("POST", "/dead-letters/replay"),
        ("GET", "/export"),
        ("GET", "/health"),
        ("GET", "/ready"),
    }


def test_no_made_up_request_breaks_anything(schema: Any) -> None:
    """Right or wrong, it is answered, and as the document says."""
    for found in schema.get_all_operations():
        operation = found.ok()
        modes = [schemathesis.GenerationMode.POSITIVE]
        if operation.query or operation.body:  # what is in a path is a text, and no text is wrong
            modes.append(schemathesis.GenerationMode.NEGATIVE)
        for mode in modes:
            _drive(operation, mode)


def _drive(operation: Any, mode: schemathesis.GenerationMode) -> None:
    """Make so many requests of one call, the same ones each time."""

    @hypothesis.seed(6)
    @hypothesis.settings(max_examples=EXAMPLES, database=None, phases=[hypothesis.Phase.generate])
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        response = case.call(timeout=PATIENCE)
        case.validate_response(
            response, checks=[not_a_server_error, response_schema_conformance, content_type_conformance]
        )

    call()
