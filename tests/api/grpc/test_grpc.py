"""The gRPC face over a real channel."""

import asyncio
import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc_tools  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_tools import protoc

from api.descriptors import FILE
from api.grpc import GrpcServer, grpc_server
from api.grpc_errors import GRPC_STATUS, cut, status_of
from api.proto_text import generate
from api.protolock import LOCK_FILE
from core.errors import NotFound, PlatformError, RateLimited, Unavailable, error_classes
from core.settings import ServerSettings
from tests.api.grpc.conftest import ADMIN, VIEWER, Client, Served, failure_of, read_failure

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_answers_with_the_tools_result(client: Client) -> None:
    answer = await client.start("GetThing", {"thing_id": "a"})
    assert (answer.name, answer.made_at.seconds) == ("thing a", 1767312000)


async def test_a_missing_argument_is_refused_and_a_default_holds(client: Client) -> None:
    code, failure = await failure_of(client.start("GetThing"))
    assert (code, failure.message) == (grpc.StatusCode.INVALID_ARGUMENT, "thing_id: Field required")
    echo = await client.start("EchoThing", {"thing_id": "a"})
    assert (echo.count, echo.is_big, echo.colour) == (1, True, "red")


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),), (("authorization", "Basic eA=="),)])
async def test_without_a_good_token_there_is_no_answer(client: Client, metadata: Any) -> None:
    code, failure = await failure_of(client.start("GetThing", {"thing_id": "a"}, metadata=metadata))
    assert (code, failure.code) == (UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_a_tool_for_anyone_needs_no_token(client: Client) -> None:
    assert (await client.start("Ping", metadata=())).total == 1


async def test_a_missing_permission_is_permission_denied(client: Client) -> None:
    code, failure = await failure_of(client.start("CreateThing", {"name": "n"}))
    assert (code, failure.code) == (grpc.StatusCode.PERMISSION_DENIED, "UNAUTHORIZED")
    assert failure.hint


@pytest.mark.parametrize(
    ("kind", "code", "ours"),
    [
        ("conflict", grpc.StatusCode.FAILED_PRECONDITION, "CONFLICT"),
        ("not_found", grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ("rate", grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
        ("crash", grpc.StatusCode.INTERNAL, "INTERNAL"),
        ("sleep", grpc.StatusCode.DEADLINE_EXCEEDED, "TIMEOUT"),
    ],
)
async def test_errors_carry_code_message_and_details(
    client: Client, kind: str, code: grpc.StatusCode, ours: str
) -> None:
    sent, failure = await failure_of(client.start("FailThing", {"kind": kind}))
    assert (sent, failure.code) == (code, ours)
    assert failure.retry_after_s == (7 if kind == "rate" else None)
    assert "secret" not in failure.message


def test_every_error_has_a_status_and_details() -> None:
    assert set(GRPC_STATUS) == {kind.code for kind in error_classes()}
    kinds: list[type[PlatformError]] = [*error_classes(), PlatformError]
    for kind in kinds:
        failure = read_failure(status_of(kind("m", hint="h"), "r").SerializeToString())
        assert (failure.code, failure.message, failure.hint, failure.request_id) == (kind.code, "m", "h", "r")


def test_a_long_text_is_cut_between_letters() -> None:
    assert cut("é" * 5000).endswith("é...")
    assert len(cut("é" * 5000).encode()) <= 1000
    assert status_of(RateLimited(retry_after_s=0.5), "r").details[1].value


async def test_the_longest_error_still_reaches_the_client(client: Client) -> None:
    _, failure = await failure_of(client.start("MakeComplaint", {"text": "漢" * 100_000}))
    assert failure.code == "INVALID_ARGUMENT"
    assert failure.message.startswith("漢漢")


async def test_the_request_id_is_the_callers_or_a_new_one(client: Client, served: Served) -> None:
    for sent, kept in (("abc-1", True), ("not ok!", False)):
        call = client.start("GetThing", {"thing_id": "a"}, metadata=(*VIEWER, ("x-request-id", sent)))
        await call
        pairs: Any = await call.trailing_metadata()
        shown = dict(pairs)["x-request-id"]
        assert (shown == sent) is kept
        assert served.gate.records[-1].request_id == shown
        assert served.gate.records[-1].face == "grpc"


@pytest.mark.parametrize("content", [b"\xff\xff", b"\x98\x06\x01", b"\x0a\x01\xff"])
async def test_bytes_that_cannot_be_read_are_refused_after_who_is_calling(
    client: Client, served: Served, content: bytes
) -> None:
    code, failure = await failure_of(client.raw("GetThing", content))
    assert (code, failure.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert served.gate.records[-1].subject == "vic"
    assert (await failure_of(client.raw("GetThing", content, ())))[0] is UNAUTHENTICATED


async def test_nul_characters_are_refused(client: Client) -> None:
    assert (await failure_of(client.start("GetThing", {"thing_id": "a\0"})))[1].code == "INVALID_ARGUMENT"


async def test_a_message_above_the_limit_is_refused(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.start("EchoThing", {"thing_id": "a", "text": "x" * 2**20})
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_unknown_methods_are_unimplemented(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.channel.unary_unary("/headwater.v1.TestsService/Nothing", None, None)(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_parts_come_as_they_are_emitted_and_the_result_last(client: Client) -> None:
    parts: list[Any] = await client.parts("CountThings", {"to": 2})
    assert [(part.message, part.done, part.HasField("done")) for part in parts] == [
        ("at 0", 1, True),
        ("at 1", 2, True),
        ("", 0, False),
    ]
    assert parts[-1].total == 2


async def test_arrow_chunks_are_passed_on_unread_and_parts_of_other_tools_left_out(client: Client) -> None:
    parts: list[Any] = await client.parts("StreamChunks", {"count": 2})
    assert [part.arrow_record_batch for part in parts] == [b"\0" * 300, b"\1" * 300, b""]
    assert parts[-1].row_count == 2


async def test_a_stream_that_is_refused_has_its_status_and_details(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.parts("CountThings", {"to": 5000})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "none"])
async def test_rows_are_one_arrow_stream_in_the_compression_asked_for(client: Client, compression: str | None) -> None:
    metadata = (*VIEWER, ("x-arrow-compression", compression)) if compression else VIEWER
    answer = await client.start("ListRows", {"count": 500}, metadata=metadata)
    assert pa.ipc.open_stream(answer.arrow_record_batch).read_all().num_rows == 500
    assert (len(answer.arrow_record_batch) > 9_000) is (compression == "none")


async def test_an_unknown_compression_is_refused(client: Client) -> None:
    call = client.start("ListRows", metadata=(*VIEWER, ("x-arrow-compression", "rar")))
    assert (await failure_of(call))[1].hint == "Use lz4, zstd or none."


async def test_a_job_is_waited_for_and_shows_its_progress(client: Client, served: Served) -> None:
    parts: list[Any] = await client.parts("RebuildThings", {"wait_s": 5}, metadata=ADMIN)
    assert (parts[0].message, parts[-1].total, parts[-1].HasField("job")) == ("half", 2, False)
    assert served.jobs.waits == [5.0]


async def test_a_job_that_nobody_waits_for_is_answered_as_a_job(client: Client) -> None:
    parts: list[Any] = await client.parts("RebuildThings", {"wait_s": 0}, metadata=ADMIN)
    assert [(part.job.job_id, part.job.status, part.HasField("total")) for part in parts] == [("j1", "pending", False)]


async def test_a_deadline_ends_the_wait_for_a_job(client: Client, served: Served) -> None:
    await client.parts("RebuildThings", metadata=ADMIN, timeout=10)
    assert 8 < served.jobs.waits[0] < 10


@pytest.mark.parametrize("wait_s", [-1.0, 301.0, float("nan"), float("inf")])
async def test_a_wait_without_sense_is_refused(client: Client, wait_s: float) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="wait_s is not a number from 0 to 300"):
        await client.parts("RebuildThings", {"wait_s": wait_s}, metadata=ADMIN)


async def test_an_idempotency_key_gives_the_same_answer_again(client: Client, served: Served) -> None:
    metadata = (*ADMIN, ("idempotency-key", "k1"))
    answers = [await client.start("CreateThing", {"name": "n"}, metadata=metadata) for _ in range(2)]
    assert answers[0] == answers[1]
    assert [key[-1] for key in served.gate.results] == ["k1"]
    call = client.start("CreateThing", {"name": "n"}, metadata=(*ADMIN, ("idempotency-key", "k" * 256)))
    assert (await failure_of(call))[1].code == "INVALID_ARGUMENT"


async def test_a_deadline_is_kept_by_the_server_and_audited_as_such(client: Client, served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.start("FailThing", {"kind": "sleep"}, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await _until(lambda: bool(served.gate.records))
    assert served.gate.records[-1].code == "TIMEOUT"


@pytest.mark.parametrize("name", ["FailThing", "StreamEndless"])
async def test_a_client_that_goes_away_cancels_its_call(client: Client, served: Served, name: str) -> None:
    call = client.start(name, {"kind": "sleep"} if name == "FailThing" else None)
    await asyncio.sleep(0.1)
    call.cancel()
    await _until(lambda: bool(served.gate.records))
    assert served.gate.records[-1].code == "CANCELLED"


async def _until(is_true: Any) -> None:
    async with asyncio.timeout(2):
        while not is_true():
            await asyncio.sleep(0.01)


async def test_health_says_serving_to_anyone(client: Client) -> None:
    stub: Any = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", "headwater.v1.TestsService"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_shows_every_service_and_its_file(client: Client) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    ask = reflection_pb2.ServerReflectionRequest
    names = ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "headwater.v1.TestsService"]
    requests = [ask(list_services=""), *(ask(file_containing_symbol=name) for name in names)]
    listed, *files = [answer async for answer in stub.ServerReflectionInfo(iter(requests))]
    assert sorted(service.name for service in listed.list_services_response.service) == names
    described = [
        FileDescriptorProto.FromString(file.file_descriptor_response.file_descriptor_proto[0]) for file in files
    ]
    assert [file.name for file in described][-1] == FILE


async def test_a_port_that_is_taken_is_named(served: Served, server: int) -> None:
    second = GrpcServer(served.dispatcher, served.rpcs, settings=ServerSettings(grpc_port=server))
    with pytest.raises(Unavailable, match=str(server)):
        await second.start()


async def test_several_processes_may_share_a_port(served: Served) -> None:
    settings = ServerSettings(grpc_port=0)
    first = grpc_server(served.dispatcher, served.dispatcher.registry, settings=settings, shared=True)
    port = await first.start()
    shared = ServerSettings(grpc_port=port, workers=2)
    second = grpc_server(served.dispatcher, served.dispatcher.registry, settings=shared)
    assert await second.start() == port
    await first.stop(0)
    await second.stop(0)


async def test_stopping_lets_a_running_call_finish(served: Served) -> None:
    running = GrpcServer(served.dispatcher, served.rpcs, settings=ServerSettings(grpc_port=0))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await running.start()}") as channel:
        call = Client(served, channel).start("FailThing", {"kind": "sleep"})
        await asyncio.sleep(0.1)
        await running.stop(5)
        assert (await failure_of(call))[1].code == "TIMEOUT"


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


async def test_tls_is_spoken_where_a_certificate_is_set(served: Served, tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    settings = ServerSettings(grpc_port=0, tls_cert=cert, tls_key=key)
    running = GrpcServer(served.dispatcher, served.rpcs, settings=settings)
    port = await running.start()
    trust = grpc.ssl_channel_credentials(cert.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{port}", trust) as channel:
        assert (await Client(served, channel).start("Ping")).total == 1
    await running.stop(0)


STUB_CLIENT = """
import sys, grpc
from headwater.v1 import headwater_pb2 as pb, headwater_pb2_grpc as rpc
stub = rpc.TestsServiceStub(grpc.insecure_channel(sys.argv[1]))
token = (("authorization", "Bearer viewer-token"),)
print(stub.GetThing(pb.GetThingRequest(thing_id="a"), metadata=token).name)
print([part.message for part in stub.CountThings(pb.CountThingsRequest(to=2), metadata=token)])
"""


async def test_stubs_compiled_from_the_text_call_the_server(served: Served, tmp_path: Path) -> None:
    registry = served.dispatcher.registry
    generate(registry, tmp_path)
    running = grpc_server(
        served.dispatcher,
        registry,
        settings=ServerSettings(grpc_port=0),
        lock_path=tmp_path / LOCK_FILE,
    )
    port = await running.start()
    known = Path(grpc_tools.__file__).parent / "_proto"
    out = [f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    assert protoc.main(["protoc", f"-I{tmp_path}", f"-I{known}", *out, FILE]) == 0
    for folder in ("headwater", "headwater/v1"):
        (tmp_path / folder / "__init__.py").touch()
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUB_CLIENT, f"127.0.0.1:{port}"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    output, _ = await client.communicate()
    await running.stop(0)
    assert output.decode().split("\n")[:2] == ["thing a", "['at 0', 'at 1', '']"]


def test_an_error_without_a_class_of_its_own_keeps_the_code_above() -> None:
    class Special(NotFound):
        """A face's own kind of it."""

    assert status_of(Special(), "r").code == grpc.StatusCode.NOT_FOUND.value[0]
