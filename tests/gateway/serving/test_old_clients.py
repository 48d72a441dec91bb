"""Clients of 0.3, as the SDK still makes them, over each binding."""

import grpc
import pytest
from a2a.compat.v0_3 import a2a_v0_3_pb2 as old
from a2a.types import CancelTaskRequest, GetTaskRequest, TaskState
from a2a.utils.errors import TaskNotFoundError

from tests.gateway.serving.conftest import BINDINGS, Served, asking, send

pytestmark = pytest.mark.asyncio(loop_scope="session")
S = TaskState


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_message_is_answered_and_streamed(served: Served, binding: str) -> None:
    whole = await send(await served.client(binding, streams=False, version="0.3"), asking("hello"))
    parts = await send(await served.client(binding, version="0.3"), asking("hello"))
    assert whole[0].task.status.message.parts[0].text == "headwater: hello"
    assert parts[0].WhichOneof("payload") == "task" and parts[-1].status_update.status.state == S.TASK_STATE_COMPLETED


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_question_is_answered_and_a_task_cancelled(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False, version="0.3")
    asked = (await send(client, asking("ask")))[0].task
    answered = (await send(client, asking("EU", task_id=asked.id, context_id=asked.context_id)))[0].task
    waiting = (await send(client, asking("ask")))[0].task
    cancelled = await client.cancel_task(CancelTaskRequest(id=waiting.id))
    assert answered.status.message.parts[0].text == "region: EU"
    assert cancelled.status.state == S.TASK_STATE_CANCELED


@pytest.mark.parametrize("binding", BINDINGS)
async def test_somebody_elses_task_and_conversation_do_not_exist(served: Served, binding: str) -> None:
    mine = await served.client(binding, streams=False, version="0.3")
    task = (await send(mine, asking("ask")))[0].task
    other = await served.client(binding, "viewer", streams=False, version="0.3")
    with pytest.raises(Exception) as caught:
        await other.get_task(GetTaskRequest(id=task.id))
    assert isinstance(caught.value, TaskNotFoundError) or "not" in str(caught.value).lower()
    with pytest.raises(Exception, match=r"(?i)no such|not"):
        await send(other, asking("hello", context_id=task.context_id))


@pytest.mark.parametrize(
    ("token", "version", "agent", "code"),
    [
        ("nonsense", "0.3", "headwater", grpc.StatusCode.UNAUTHENTICATED),
        ("vera", "1.0", "headwater", grpc.StatusCode.UNIMPLEMENTED),
        ("vera", "0.3", "echo", grpc.StatusCode.FAILED_PRECONDITION),
        ("vera", "0.3", "headwater", grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_the_old_service_refuses_what_the_new_one_does(
    served: Served, token: str, version: str, agent: str, code: grpc.StatusCode
) -> None:
    call = served.channel(token).unary_unary(
        "/a2a.v1.A2AService/GetTask",
        request_serializer=old.GetTaskRequest.SerializeToString,
        response_deserializer=old.Task.FromString,
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(old.GetTaskRequest(name="tasks/x"), metadata=(("a2a-version", version), ("headwater-agent", agent)))
    assert caught.value.code() is code
