"""Who is let in."""

import stat
from pathlib import Path

import pytest

from tamiz.errors import UsageError
from tamiz.http.keys import Caller, Keys, hashed, make_key, revoke

KEY = "k-0123456789abcdefghijklmnop"


def test_a_key_lets_its_tenant_in_and_nobody_else(tmp_path: Path) -> None:
    path = str(tmp_path / "keys")
    acme, operator = make_key(path, "acme"), make_key(path, "operator")
    keys = Keys.read(path, f"other:{KEY}")
    assert keys.caller(acme) == Caller("acme", operator=False)
    assert keys.caller(operator) == Caller("operator", operator=True)
    assert keys.caller(KEY) == Caller("other", operator=False)
    for wrong in ("", acme[:-1], acme + "x", KEY.upper(), hashed(acme), "\udcff"):
        assert keys.caller(wrong) is None
    assert (keys.caller(acme) or Caller("", operator=True)).sees == "acme"
    assert (keys.caller(operator) or Caller("", operator=False)).sees is None


def test_the_file_holds_no_key_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key = make_key(str(path), "acme")
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["keys"]


def test_keys_of_a_tenant_are_revoked_together(tmp_path: Path) -> None:
    path = str(tmp_path / "keys")
    first, second, other = (make_key(path, tenant) for tenant in ("acme", "acme", "b"))
    assert revoke(path, "acme") == 2
    assert revoke(path, "acme") == 0
    keys = Keys.read(path, None)
    assert [keys.caller(key) for key in (first, second)] == [None, None]
    assert keys.caller(other) is not None


@pytest.mark.parametrize("key", ["short", "a" * 40, "abababababababababababababab", ""])
def test_a_weak_key_is_refused(tmp_path: Path, key: str) -> None:
    """And is in no message."""
    with pytest.raises(UsageError, match="weak") as refusal:
        Keys.read(str(tmp_path / "none"), f"acme:{key}")
    assert not key or key not in str(refusal.value)


@pytest.mark.parametrize("tenant", ["", "a b", "x" * 65, "a/b", "é"])
def test_a_wrong_tenant_is_refused(tmp_path: Path, tenant: str) -> None:
    with pytest.raises(UsageError, match="tenant"):
        make_key(str(tmp_path / "keys"), tenant)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["acme", "acme xyz", "acme " + "0" * 63, "a/b " + "0" * 64])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# keys\n\n{line}\n")
    with pytest.raises(UsageError, match="line 3"):
        Keys.read(str(path), None)


def test_no_file_is_no_keys(tmp_path: Path) -> None:
    assert len(Keys.read(str(tmp_path / "none"), None)) == 0


def test_a_key_without_a_tenant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TENANT:KEY"):
        Keys.read(str(tmp_path / "none"), KEY)
