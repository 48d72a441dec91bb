"""Answers and errors in OpenAI's shape, with our own facts in a field of their own."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from api.errors import status_of
from core.errors import PlatformError

TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
MAX_ROWS = 50


def completion(model: str, created: int, result: BaseModel) -> dict[str, Any]:
    """A whole answer."""
    data = result.model_dump(mode="json")
    message = {"role": "assistant", "content": content_of(data), "refusal": None}
    return {
        "id": id_of(data),
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": usage_of(data),
        "headwater": facts_of(data),
    }


def chunk(model: str, created: int, run_id: str, **parts: Any) -> dict[str, Any]:
    """A piece of an answer."""
    return {"id": run_id, "object": "chat.completion.chunk", "created": created, "model": model, **parts}


def content_of(data: Mapping[str, Any]) -> str:
    """What is said. A call that waits is named, so that a yes in the next message is known to mean it."""
    if "response" not in data:
        return workflow_text(data)
    approval = data.get("approval")
    return f"{data['response']}{waits_text(approval['approval_id'])}" if approval else str(data["response"])


def waits_text(approval_id: str) -> str:
    return f"\n\n(approval {approval_id})"


def workflow_text(data: Mapping[str, Any]) -> str:
    """A workflow's answer: its rows, and the SQL that they come from."""
    refusal = data.get("refusal") or {}
    said = [str(text) for text in (data.get("question"), refusal.get("reason"), refusal.get("hint")) if text]
    rows = data.get("result") or []
    shown = [json.dumps(row, ensure_ascii=False, default=str) for row in rows[:MAX_ROWS]]
    if len(rows) > MAX_ROWS:
        shown.append(f"({len(rows)} rows)")
    sql = f"```sql\n{data['sql']}\n```" if data.get("sql") else ""
    return "\n\n".join(part for part in (*said, "\n".join(shown), sql) if part) or "No answer."


def id_of(data: Mapping[str, Any]) -> str:
    return f"chatcmpl-{data.get('run_id') or data.get('task_id') or 'none'}"


def usage_of(data: Mapping[str, Any]) -> dict[str, int]:
    used = data.get("usage") or {}
    tokens_in, tokens_out = int(used.get("tokens_in", 0)), int(used.get("tokens_out", 0))
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def facts_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What OpenAI's shape has no place for."""
    names = ("run_id", "session_id", "status", "question", "approval", "answered_by", "tool_calls", "task_id", "sql")
    return {name: data[name] for name in names if name in data}


def error_document(error: PlatformError, request_id: str) -> dict[str, Any]:
    """An error as OpenAI's clients read it, with ours beside it."""
    status = status_of(error)
    usual = "invalid_request_error" if status < 500 else "server_error"
    kind = "rate_limit_error" if status == 429 else TYPES.get(status, usual)
    message = f"{error.message} {error.hint}".strip()
    return {
        "error": {
            "message": f"{message} (request id {request_id})",
            "type": kind,
            "param": None,
            "code": error.code,
            "headwater": error.body(request_id),
        }
    }
