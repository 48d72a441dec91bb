"""TLS is verified for the name, on the connection to the pinned address."""

import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.errors import Unavailable
from core.settings import EgressSettings
from engine.egress.client import ClientCertificate, EgressClient
from tests.engine.egress.servers import Server, Write, reply, serving


def make_certificate(name: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    cert, key = make_certificate("good.example", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def answer(path: str, write: Write) -> None:
        await write(reply(body=b"secret"))

    async with serving(answer, tls=context) as started:
        yield started


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def test_a_certificate_for_the_name_is_accepted(server: Server, tmp_path: Path) -> None:
    settings = EgressSettings(allowed_private_hosts=["good.example"], ca_file=tmp_path / "cert.pem")
    client = EgressClient(settings, resolver=loopback)
    assert (await client.get(f"https://good.example:{server.port}/")).body == b"secret"
    await client.aclose()


@pytest.mark.parametrize(("name", "trusts"), [("other.example", True), ("good.example", False)])
async def test_another_name_or_an_unknown_authority_is_refused(
    server: Server, tmp_path: Path, name: str, trusts: bool
) -> None:
    settings = EgressSettings(allowed_private_hosts=[name], ca_file=tmp_path / "cert.pem" if trusts else None)
    client = EgressClient(settings, resolver=loopback)
    with pytest.raises(Unavailable):
        await client.get(f"https://{name}:{server.port}/")
    assert server.requests == []
    await client.aclose()


async def test_connections_of_certificates_that_were_replaced_are_not_kept_for_ever(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "ours").mkdir()
    cert, key = (path.read_text() for path in make_certificate("us.example", tmp_path / "ours"))
    settings = EgressSettings(allowed_private_hosts=["good.example"], ca_file=tmp_path / "cert.pem")
    client = EgressClient(settings, resolver=loopback, max_wires=3)
    for number in range(6):
        mine = ClientCertificate(cert + "\n" * number, key)
        url = f"https://good.example:{server.port}/"
        async with client.open("GET", url, max_bytes=100, certificate=mine) as answer:
            assert await answer.read() == b"secret"
    assert len(client._wires) == 3
    await client.aclose()
