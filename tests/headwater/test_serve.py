"""One serving process: ready, drained, and clear about what it refuses."""

import asyncio
import signal
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headwater.running import running
from headwater.serve import serving
from headwater.settings import read_settings
from tests.faces.world import FREE, settings_of
from tests.fixtures_store import migrated
from tests.headwater.processes import FREE_PORTS, Server, finished, headwater, serve, served, spawn, until

NO_WORKERS = {"HEADWATER_JOBS__EMBEDDED_WORKERS": "0"}


def test_it_says_where_every_face_is_how_to_get_a_token_and_who_could_listen(tmp_path: Path) -> None:
    server = serve(tmp_path / "home", "--host", "0.0.0.0")
    assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200
    said = server.stop()
    ports = server.ports
    assert (said.code, said.out) == (0, "")
    for port in (ports.rest, ports.mcp, ports.grpc, ports.grpc_web, ports.admin):
        assert f":{port}" in said.err
    assert "First start: made the tenant `default`" in said.err
    assert f"token --role viewer --home {tmp_path / 'home'}" in said.err
    assert "Listening on 0.0.0.0 without TLS" in said.err
    assert running(tmp_path / "home") == []


def test_metrics_are_on_the_loopback_port(server: Server) -> None:
    page = httpx.get(f"http://127.0.0.1:{server.ports.admin}/metrics", trust_env=False)
    assert "headwater_audit_backlog" in page.text


def test_a_running_call_finishes_and_a_worker_process_runs_what_is_left(tmp_path: Path) -> None:
    with served(tmp_path, **NO_WORKERS) as server, server.client() as client, ThreadPoolExecutor() as pool:
        # Nobody runs jobs here: this call is answered after exactly its two seconds.
        call = pool.submit(client.post, "/v1/catalog/schemas/lakehouse/refresh?wait_s=2", json={})
        time.sleep(0.5)
        stopping = pool.submit(server.stop)
        answer = call.result(20)
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        assert stopping.result(20).code == 0
    worker = spawn("worker", "--home", str(tmp_path))
    job = ["get-job", "--job-id", answer.json()["job_id"], "--home", str(tmp_path), "--json"]
    try:
        assert until(lambda: headwater(*job).json()["status"] == "succeeded", every_s=0.5)
    finally:
        worker.send_signal(signal.SIGTERM)
    ended = finished(worker)
    assert (ended.code, ended.err) == (0, "worker ready: 2 jobs at a time\n")


@pytest.mark.parametrize("face", ["rest", "grpc-web", "mcp", "grpc"])
def test_a_port_that_is_taken_is_named_with_its_option(tmp_path: Path, face: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = headwater("serve", "--home", str(tmp_path), *FREE_PORTS, f"--{face}-port", str(port))
    assert said.code == 8
    assert f"Port {port} on 127.0.0.1 is taken." in said.err
    assert f"Choose another with --{face}-port" in said.err


def test_a_host_that_is_not_ours_is_named(tmp_path: Path) -> None:
    environment = {"HEADWATER_SERVER__BEHIND_TLS_PROXY": "true"}
    said = headwater("serve", "--home", str(tmp_path), "--host", "192.0.2.1", *FREE_PORTS, **environment)
    assert said.code == 8
    assert "192.0.2.1:0 cannot be listened on" in said.err
    assert "--host" in said.err


def test_without_authentication_it_serves_loopback_only(tmp_path: Path) -> None:
    environment = {"HEADWATER_AUTH__ENABLED": "false"}
    said = headwater("serve", "--home", str(tmp_path), "--host", "0.0.0.0", *FREE_PORTS, **environment)
    assert said.code == 2
    assert "Authentication is off and 0.0.0.0 is not a loopback address." in said.err


async def test_with_authentication_off_callers_are_the_administrator_on_every_face(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home", auth={"enabled": False}, edge={"isolation": "thread"})
    async with serving(settings) as (_, ports), httpx.AsyncClient(trust_env=False) as http:
        mine = await http.get(f"http://127.0.0.1:{ports.rest}/v1/users/me")
        assert "tenant.manage" in mine.json()["permissions"]
        async with Client(f"http://127.0.0.1:{ports.mcp}/mcp") as client:
            assert (await client.call_tool("list_connections", {})).structured_content["total_count"] == 1


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key_path.write_bytes(encoded)
    return cert_path, key_path


async def test_a_certificate_serves_every_face(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    pair = {**FREE, "tls_cert": str(cert), "tls_key": str(key)}
    settings = read_settings(migrated(tmp_path / "home"), server=pair, edge={"isolation": "thread"})
    trust = ssl.create_default_context(cafile=cert)
    async with serving(settings) as (platform, ports), httpx.AsyncClient(verify=trust, trust_env=False) as http:
        token = await platform.engine.identity.mint(role="viewer")
        command = ["list-tables", "--server", f"https://127.0.0.1:{ports.rest}", "--token", token, "--json"]
        said = await asyncio.to_thread(headwater, *command, HEADWATER_EGRESS__CA_FILE=str(cert))
        assert said.json()["total_count"] == 0
        web = await http.get(f"https://127.0.0.1:{ports.grpc_web}/nothing")
        assert web.status_code in (404, 405, 415)
        credentials = grpc.ssl_channel_credentials(cert.read_bytes())
        async with grpc.aio.secure_channel(f"127.0.0.1:{ports.grpc}", credentials) as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.SERVING
        transport = StreamableHttpTransport(f"https://127.0.0.1:{ports.mcp}/mcp", auth=token, verify=trust)
        async with Client(transport) as client:
            assert await client.list_tools()


def test_half_a_pair_of_certificate_and_key_is_refused(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    said = headwater("serve", "--home", str(tmp_path), HEADWATER_SERVER__TLS_CERT=str(certificate[0]))
    assert said.code == 2
    assert "tls_cert and tls_key belong together" in said.err
    gone = {"HEADWATER_SERVER__TLS_CERT": "/no/cert.pem", "HEADWATER_SERVER__TLS_KEY": "/no/key.pem"}
    assert "/no/cert.pem cannot be read" in headwater("serve", "--home", str(tmp_path), **gone).err


def test_a_second_server_on_a_home_serves_the_same_and_says_so(server: Server) -> None:
    second = serve(server.home)
    try:
        assert {found.pid for found in running(server.home)} == {server.process.pid, second.process.pid}
        assert second.call("get_connection", connection_id="data")["kind"] == "files"
    finally:
        said = second.stop()
    assert f"another server runs on this home: process {server.process.pid}" in said.err
    assert f"`headwater stop --home {server.home}` ends both" in said.err
    assert [found.pid for found in running(server.home)] == [server.process.pid]


def test_a_server_that_is_started_twice_is_refused_with_what_to_do(server: Server) -> None:
    said = headwater("serve", "--home", str(server.home), "--port", str(server.ports.rest))
    assert said.code == 6 and f"A server runs on this home already: process {server.process.pid}" in said.err
    assert f"`headwater stop --home {server.home}` ends it." in said.err and "--port 0" in said.err


def test_the_wrong_root_key_stops_the_start(tmp_path: Path) -> None:
    headwater("token", "--home", str(tmp_path))
    (tmp_path / "keys" / "root.key").write_bytes(b"x" * 32)
    said = headwater("serve", "--home", str(tmp_path), *FREE_PORTS)
    assert said.code == 8
    assert "Put the keys/root.key that belongs to this store back" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("is_viewer", [False, True])
async def test_standard_input_and_output_serve_a_desktop_client(server: Server, is_viewer: bool) -> None:
    credential = ["--token", server.token("viewer")] if is_viewer else []
    arguments = ["-W", "ignore", "-m", "headwater", "mcp", "--home", str(server.home), *credential]
    async with Client(StdioTransport(sys.executable, arguments, keep_alive=False)) as client:
        names = {tool.name for tool in await client.list_tools()}
        assert "list_tables" in names
        found = await client.call_tool("list_tables", {"connection_id": "data"})
        assert [table["name"] for table in found.structured_content["tables"]] == ["orders"]
        refused = await client.call_tool("refresh_schema", {"connection_id": "data"}, raise_on_error=False)
        assert refused.is_error == is_viewer


def test_standard_input_with_a_bad_token_is_refused(server: Server) -> None:
    said = headwater("mcp", "--home", str(server.home), "--token", "nonsense")
    assert (said.code, said.out) == (3, "")
    assert "UNAUTHENTICATED The token is not valid." in said.err
