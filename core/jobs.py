"""A durable job and its events, as every face shows them."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from core.portable import Model

JobStatus = Literal["pending", "running", "succeeded", "failed", "cancelled"]


class JobError(Model):
    """Why a job failed, in the shape of every other error."""

    code: str = Field(description="Error code, for example `UNAVAILABLE`.")
    message: str = Field(description="What went wrong.")
    hint: str = Field("", description="The next step.")
    request_id: str = Field("", description="Request under which the failure was logged.")


class Job(Model):
    """One durable call of a tool: its state, progress, and its result once there."""

    job_id: str = Field(description="Id of the job.")
    tool: str = Field(description="Tool that the job runs.")
    status: JobStatus = Field(description="Where the job stands.")
    owner: str = Field(description="Subject that the job runs as.")
    created_at: datetime = Field(description="When the job was submitted (UTC).")
    updated_at: datetime = Field(description="When the job last changed (UTC).")
    attempt: int = Field(0, description="How many workers have started it.")
    progress: float | None = Field(None, description="Share done, 0 to 1, where the tool knows it.")
    result: JsonValue = Field(None, description="The tool's result once the job has succeeded.")
    error: JobError | None = Field(None, description="Why it failed.")

    @property
    def is_done(self) -> bool:
        return self.status in ("succeeded", "failed", "cancelled")


class Progress(Model):
    """How far a long call has come."""

    message: str = Field(description="What is being done.")
    done: int = Field(0, description="Units done so far.")
    total: int | None = Field(None, description="Units in all, where known.")


class JobEvent(Model):
    """One line of a job's append-only log."""

    seq: int = Field(description="Position in the log, from 1.")
    at: datetime = Field(description="When it happened (UTC).")
    kind: str = Field(description="`status`, `progress`, or the name of an emitted part.")
    data: JsonValue = Field(None, description="The event's content.")
