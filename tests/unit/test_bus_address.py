import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.bus.address import KafkaAddress
from tamiz.errors import UsageError
from tamiz.messages import Topic

HOSTS = st.text(string.ascii_lowercase + string.digits + "-.", min_size=1, max_size=20) | st.ip_addresses().map(
    lambda address: f"[{address}]" if address.version == 6 else str(address)
)
SERVERS = st.tuples(HOSTS, st.integers(1, 65_535)).map(lambda server: "{}:{}".format(*server))
ADDRESSES = st.builds(
    KafkaAddress,
    servers=st.lists(SERVERS, min_size=1, max_size=3).map(",".join),
    prefix=st.text(string.ascii_letters + string.digits + "._-", max_size=100),
)


@pytest.mark.parametrize(
    ("url", "servers", "prefix"),
    [
        ("kafka:localhost:9092", "localhost:9092", ""),
        ("kafka://localhost:9092", "localhost:9092", ""),
        ("kafka:a.example:9092,b.example:9093", "a.example:9092,b.example:9093", ""),
        ("kafka:127.0.0.1:9092?prefix=tests.", "127.0.0.1:9092", "tests."),
        ("kafka://[::1]:9092,[fe80::1]:9092?prefix=a_b-c", "[::1]:9092,[fe80::1]:9092", "a_b-c"),
        ("kafka:localhost:9092?prefix=", "localhost:9092", ""),
        ("kafka:localhost:9092?", "localhost:9092", ""),
    ],
)
def test_where_a_cluster_is(url: str, servers: str, prefix: str) -> None:
    assert KafkaAddress.parse(url) == KafkaAddress(servers=servers, prefix=prefix)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "kafka",
        "kafka:",
        "kafka://",
        "kafka:localhost",
        "kafka::9092",
        "kafka:localhost:",
        "kafka:localhost:port",
        "kafka:localhost:123456",
        "kafka:localhost:9092,",
        "kafka:localhost:9092,,other:9092",
        "kafka:localhost:9092 ",
        "kafka:local host:9092",
        "kafka:::1:9092",
        "kafka:localhost:9092/topics",
        "localhost:9092",
        "KAFKA:localhost:9092",
        "mongodb://localhost:27017",
        "kafka:?prefix=a",
    ],
)
def test_what_is_no_address_is_shown_with_a_right_one(url: str) -> None:
    with pytest.raises(UsageError, match="write it like kafka:localhost:9092") as error:
        KafkaAddress.parse(url)
    assert repr(url) in str(error.value)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("group=a", "group"),
        ("prefix=a&acks=1", "acks"),
        ("prefix=a%20b", "prefix"),
        ("prefix=a/b", "prefix"),
        ("prefix=ü", "prefix"),
        (f"prefix={'a' * 101}", "prefix"),
    ],
)
def test_what_may_not_follow_the_question_mark_is_named(options: str, named: str) -> None:
    with pytest.raises(UsageError, match=f"'{named}' is not right; a prefix=NAME"):
        KafkaAddress.parse(f"kafka:localhost:9092?{options}")


@given(ADDRESSES)
def test_the_url_is_what_parse_takes(address: KafkaAddress) -> None:
    assert KafkaAddress.parse(address.url) == address


@given(st.text())
def test_anything_else_is_a_usage_error(text: str) -> None:
    """Nothing that a user may type is any other error."""
    for url in (text, f"kafka:{text}", f"kafka:localhost:9092?{text}"):
        try:
            address = KafkaAddress.parse(url)
        except UsageError:
            continue
        assert KafkaAddress.parse(address.url) == address


def test_topics_and_groups_are_apart_by_their_prefix() -> None:
    address = KafkaAddress(servers="localhost:9092", prefix="mine.")
    assert address.topic(Topic.QUESTIONS_IN) == "mine.questions_in"
    assert address.group("intake") == "mine.tamiz-intake"
