"""Host keys that an authority signed: made by ssh-keygen, shown by real sshds, and cut and bent in every place."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import HostKeyMismatch, NodeError
from reconciler.ids import NodeId
from reconciler.model.command import Program
from reconciler.transport.host_certificate import (
    HostCertificate,
    certificate_trouble,
    read_certificate_of,
    read_host_certificate,
)
from reconciler.transport.known_hosts import HostKey, Pins, parse
from tests.transport.certificates import Authority, blob_of, show
from tests.transport.real_sshd import PoolMaker, Sshd, SshdMaker, keygen

HELLO = Program(text=b"echo hello")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.made(tmp_path / "authority")


@pytest.fixture
def certified() -> Iterator[list[Sshd]]:
    """Sshds that were started anew with a certificate; ended after the test."""
    started: list[Sshd] = []
    yield started
    for sshd in started:
        sshd.stop()


def shown(sshd: Sshd, certificate: Path, started: list[Sshd]) -> Sshd:
    started.append(show(sshd, certificate))
    return started[-1]


def host_key_of(sshd: Sshd) -> Path:
    return sshd.folder / "host_key.pub"


@pytest.mark.parametrize(
    ("of_host", "of_authority"), [("ed25519", "ed25519"), ("ecdsa", "ecdsa"), ("rsa", "ed25519"), ("ed25519", "rsa")]
)
def test_a_certificate_of_a_trusted_authority_is_accepted(
    make_sshd: SshdMaker, make_pool: PoolMaker, tmp_path: Path, certified: list[Sshd], of_host: str, of_authority: str
) -> None:
    authority = Authority.made(tmp_path / "any", of_authority)
    sshd = make_sshd(key=of_host)
    sshd = shown(sshd, authority.sign(host_key_of(sshd)), certified)
    with make_pool(parse(authority.line), sshd.node()).connect(sshd.node()) as session:
        assert session.run(HELLO).stdout == b"hello\n"
        assert session.host_key == str(sshd.host_key), "a node is known by its key, not by a paper"


def test_a_certificate_for_the_address_is_accepted(
    sshd: Sshd, make_pool: PoolMaker, authority: Authority, certified: list[Sshd]
) -> None:
    sshd = shown(sshd, authority.sign(host_key_of(sshd), names="other,127.0.0.1"), certified)
    known = parse(f"@cert-authority 127.0.0.* {authority.key}\n")
    with make_pool(known, sshd.node()).connect(sshd.node()) as session:
        assert session.run(HELLO).stdout == b"hello\n"


@pytest.mark.parametrize(
    ("options", "line", "words"),
    [
        pytest.param(
            {"names": "web-02,10.0.0.9"}, "", "it is for web-02, 10.0.0.9, and this node is web-01", id="other"
        ),
        pytest.param({"names": ""}, "", "it names no host", id="no principal at all"),
        pytest.param({"names": "*"}, "", "it is for *, and this node is web-01", id="wildcard"),
        pytest.param({"valid": "20200101000000Z:20200102000000Z"}, "", "expired at 2020-01-02T00:00:00Z", id="expired"),
        pytest.param({"valid": "20900101000000Z:20910102000000Z"}, "", "holds from 2090-01-01", id="not yet"),
        pytest.param({"host": False}, "", "it is for users, not for hosts", id="user certificate"),
        pytest.param({}, "@revoked * {authority}\n", "its authority SHA256", id="revoked authority"),
        pytest.param({}, "@revoked nowhere {authority}\n", "@revoked", id="revoked elsewhere is revoked"),
        pytest.param({}, "@revoked * {host}\n", "host key revoked", id="revoked key"),
    ],
)
def test_a_certificate_that_does_not_hold_gets_no_login(
    sshd: Sshd,
    make_pool: PoolMaker,
    authority: Authority,
    certified: list[Sshd],
    options: dict[str, object],
    line: str,
    words: str,
) -> None:
    certificate = authority.sign(host_key_of(sshd), **options)  # type: ignore[arg-type]  # keywords of sign
    sshd = shown(sshd, certificate, certified)
    error = trouble(make_pool, sshd, authority.line + line.format(authority=authority.key, host=sshd.host_key))
    assert words in str(error)


def test_another_authority_is_not_trusted(
    sshd: Sshd, make_pool: PoolMaker, authority: Authority, certified: list[Sshd], tmp_path: Path
) -> None:
    other = Authority.made(tmp_path / "other")
    sshd = shown(sshd, other.sign(host_key_of(sshd)), certified)
    error = trouble(make_pool, sshd, authority.line)
    assert f"signed by {other.key.fingerprint}" in str(error)
    assert authority.key.fingerprint in str(error)


def test_an_authority_for_other_hosts_is_not_asked(
    sshd: Sshd, make_pool: PoolMaker, authority: Authority, certified: list[Sshd]
) -> None:
    sshd = shown(sshd, authority.sign(host_key_of(sshd)), certified)
    error = trouble(make_pool, sshd, f"@cert-authority db-*,*.example {authority.key}\n")
    assert "no host key is pinned" in str(error)


def test_a_bare_key_is_refused_where_only_an_authority_is_trusted(
    sshd: Sshd, make_pool: PoolMaker, authority: Authority
) -> None:
    error = trouble(make_pool, sshd, authority.line)
    assert "shows a bare host key" in str(error)
    assert "set HostCertificate in its sshd_config" in str(error)


def test_a_pinned_key_needs_no_certificate_to_hold(
    sshd: Sshd, make_pool: PoolMaker, authority: Authority, certified: list[Sshd]
) -> None:
    sshd = shown(sshd, authority.sign(host_key_of(sshd), valid="20200101000000Z:20200102000000Z"), certified)
    known = parse(f"{authority.line}web-01 {sshd.host_key}\n")
    with make_pool(known, sshd.node()).connect(sshd.node()) as session:
        assert session.run(HELLO).stdout == b"hello\n"


def test_a_kept_connection_ends_with_its_authority(
    sshd: Sshd, make_pool: PoolMaker, authority: Authority, certified: list[Sshd]
) -> None:
    sshd = shown(sshd, authority.sign(host_key_of(sshd)), certified)
    pool = make_pool(parse(authority.line), sshd.node())
    with pool.connect(sshd.node()) as session:
        session.run(HELLO)
    assert pool.is_warm(NodeId("web-01"))
    pool.update(
        known_hosts=parse(f"{authority.line}@revoked * {authority.key}\n"), nodes={NodeId("web-01"): sshd.node()}
    )
    assert not pool.is_warm(NodeId("web-01"))


def trouble(make_pool: PoolMaker, sshd: Sshd, known: str) -> NodeError:
    with pytest.raises(NodeError) as caught, make_pool(parse(known), sshd.node()).connect(sshd.node()):
        pass
    assert "Accepted" not in sshd.log()
    assert "publickey" not in sshd.log(), "nothing was told to a server that did not prove who it is"
    return caught.value


# From here on without a server: what was signed, and what was bent.


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Authority]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority.made(folder / "authority")
    keygen(folder / "host")
    return blob_of(authority.sign(folder / "host.pub", names="web-01,10.0.0.1")), authority


def trusting(authority: Authority, *names: str) -> Pins:
    return Pins(authorities=(authority.key,), names=names or ("web-01",))


def test_what_a_certificate_says_is_read(made: tuple[bytes, Authority]) -> None:
    blob, authority = made
    read = read_host_certificate(blob)
    assert (read.authority, read.principals) == (authority.key, ("web-01", "10.0.0.1"))
    assert (read.key_id, read.serial, read.is_for_hosts, read.critical) == ("an id", 7, True, ())
    assert certificate_trouble(read, trusting(authority), NOW) is None
    assert certificate_trouble(read, trusting(authority, "web-02", "10.0.0.1"), NOW) is None


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        pytest.param(datetime(2026, 1, 1, 11, 59, 59, tzinfo=UTC), False, id="a second early"),
        pytest.param(datetime(2026, 1, 1, 12, tzinfo=UTC), True, id="at its first second"),
        pytest.param(datetime(2026, 1, 1, 12, 59, 59, tzinfo=UTC), True, id="at its last"),
        pytest.param(datetime(2026, 1, 1, 13, tzinfo=UTC), False, id="at its end"),
    ],
)
def test_the_time_of_a_certificate_is_exact(
    authority: Authority,
    tmp_path: Path,
    moment: datetime,
    holds: bool,  # noqa: FBT001
) -> None:
    keygen(tmp_path / "host")
    read = read_host_certificate(
        blob_of(authority.sign(tmp_path / "host.pub", valid="20260101120000Z:20260101130000Z"))
    )
    assert (certificate_trouble(read, trusting(authority), moment) is None) is holds


def test_a_certificate_for_ever_holds(authority: Authority, tmp_path: Path) -> None:
    keygen(tmp_path / "host")
    read = read_host_certificate(blob_of(authority.sign(tmp_path / "host.pub", valid="always:forever")))
    assert certificate_trouble(read, trusting(authority), datetime(9999, 1, 1, tzinfo=UTC)) is None


def test_a_critical_option_is_refused(authority: Authority, tmp_path: Path) -> None:
    keygen(tmp_path / "host")
    certificate = authority.sign(tmp_path / "host.pub", "-O", "critical:only@example=x")
    read = read_host_certificate(blob_of(certificate))
    assert read.critical == ("only@example",)
    assert "critical options" in str(certificate_trouble(read, trusting(authority), NOW))


def test_an_authority_that_signs_with_sha1_or_a_short_key_is_refused(tmp_path: Path) -> None:
    keygen(tmp_path / "host")
    authority = Authority.made(tmp_path / "old", "rsa")
    with pytest.raises(ValueError, match="SHA-1"):
        read_host_certificate(blob_of(authority.sign(tmp_path / "host.pub", "-t", "ssh-rsa")))
    command = ["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(tmp_path / "short")]
    subprocess.run(command, check=True)
    with pytest.raises(ValueError, match="1024 bits"):
        read_host_certificate(blob_of(Authority(tmp_path / "short").sign(tmp_path / "host.pub")))


def test_not_one_byte_of_a_certificate_may_be_another(made: tuple[bytes, Authority]) -> None:
    blob, authority = made
    for at in range(len(blob)):
        bent = bytearray(blob)
        bent[at] ^= 1
        assert not _holds(bytes(bent), authority), f"byte {at}"


def test_a_cut_or_lengthened_certificate_does_not_read(made: tuple[bytes, Authority]) -> None:
    blob, authority = made
    for length in range(len(blob)):
        assert not _holds(blob[:length], authority), f"{length} bytes"
    assert not _holds(blob + b"\0", authority)
    assert not _holds(blob + b"\0" * 100_000, authority)


def _holds(blob: bytes, authority: Authority) -> bool:
    try:
        read: HostCertificate = read_host_certificate(blob)
    except ValueError:
        return False
    return certificate_trouble(read, trusting(authority), NOW) is None


@given(st.binary(max_size=400), st.sampled_from(["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ssh-dss", "x"]))
def test_any_bytes_read_or_are_refused_in_words(tail: bytes, kind: str) -> None:
    name = f"{kind}-cert-v01@openssh.com".encode()
    with pytest.raises(ValueError, match=r"."):
        read_host_certificate(len(name).to_bytes(4, "big") + name + tail)
    with pytest.raises(ValueError, match=r"."):
        read_host_certificate(tail)


@given(st.data())
def test_bent_fields_are_refused_in_words(made: tuple[bytes, Authority], data: st.DataObject) -> None:
    blob = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(blob) - 4))
        blob[at : at + 4] = data.draw(st.binary(min_size=0, max_size=8))
    try:
        read = read_host_certificate(bytes(blob))
    except ValueError:
        return
    assert read == read_host_certificate(made[0])


def test_the_error_is_a_changed_key_and_not_an_unknown_one(
    sshd: Sshd, make_pool: PoolMaker, authority: Authority
) -> None:
    assert isinstance(trouble(make_pool, sshd, authority.line), HostKeyMismatch)


def test_a_certificate_of_another_key_does_not_count(made: tuple[bytes, Authority]) -> None:
    with pytest.raises(ValueError, match="another key than the one shown"):
        read_certificate_of(HostKey("ssh-ed25519", "AAAA"), made[0])
