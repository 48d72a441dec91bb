"""A run that asks back, under the name by which the MCP face knows such runs."""

from typing import Any

from pydantic import Field

from core.context import Context
from core.portable import Model
from core.tool import SIGNED_IN, tool

Ctx = Context[Any]


class RunWorkflow(Model):
    task: str = Field(description="The question.")
    task_id: str = Field("", description="The run.")
    clarification: str = Field("", description="Answer to its question.")


class WorkflowAnswer(Model):
    task_id: str = Field(description="The run.")
    question: str = Field(description="What it asks back.")
    answer: str = Field(description="What it answers.")


@tool("POST /workflows", needs=SIGNED_IN, effect="read", toolsets=("default",))
async def run_workflow(ctx: Ctx, request: RunWorkflow) -> WorkflowAnswer:
    """Answer a question once it is clear."""
    if not request.clarification:
        return WorkflowAnswer(task_id="t1", question="Which year?", answer="")
    return WorkflowAnswer(task_id=request.task_id, question="", answer=f"{request.task} in {request.clarification}")
