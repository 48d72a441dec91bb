"""Schedules: durable tools that run by themselves, as the person who scheduled them."""

import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field, JsonValue

from core.arguments import read_arguments
from core.errors import Conflict, InvalidArgument, NotFound
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import SIGNED_IN, Empty, Tool, tool
from engine.context import Ctx
from engine.schedules.schedules import Schedule as StoredSchedule


class CreateSchedule(Model):
    """What to run, and when."""

    schedule_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Id of your choice; made up unless given."
    )
    name: str = Field(min_length=1, max_length=255, description="What it is for, for example `nightly compaction`.")
    tool: str = Field(max_length=64, description="A tool that runs as a job, for example `compact_table`.")
    arguments: dict[str, JsonValue] = Field({}, description="The tool's arguments.")
    cron: str = Field(
        pattern=r"^ *(@[A-Za-z]+|[0-9A-Za-z*,/-]+( +[0-9A-Za-z*,/-]+){4}) *$",
        max_length=255,
        description="Minute hour day month weekday, for example `30 6 * * mon-fri`; or @hourly, @daily, @weekly.",
    )
    time_zone: str = Field("UTC", max_length=64, description="IANA time zone of the times, such as Europe/Berlin.")


class ListSchedules(Paged):
    """Which page of schedules to list."""


class ScheduleRef(Model):
    """Which schedule."""

    schedule_id: Annotated[str, Refers("schedule")] = Field(
        max_length=64, description="Id of the schedule; list_schedules shows them."
    )


class Schedule(Model):
    """A tool that runs by itself."""

    schedule_id: str = Field(description="Its id.")
    name: str = Field(description="What it is for.")
    tool: str = Field(description="The tool that it runs.")
    arguments: dict[str, JsonValue] = Field(description="The tool's arguments.")
    cron: str = Field(description="When it runs.")
    time_zone: str = Field(description="Time zone of the times.")
    owner: str = Field(description="Subject that it runs as, with the rights they have at that moment.")
    created_at: datetime = Field(description="When it was made (UTC).")
    next_at: datetime = Field(description="When it runs next (UTC).")
    last_at: datetime | None = Field(description="When it last ran (UTC).")
    last_job_id: str | None = Field(description="The job of the last run that was accepted.")
    last_error: str | None = Field(description="Why the last run was refused; null when it was accepted.")


class ScheduleList(Listing):
    """A page of schedules."""

    schedules: list[Schedule] = Field(description="The schedules, by name.")
    items: list[Schedule] = Field(description="The same list.")


@tool("GET /schedules", needs=SIGNED_IN, effect="read")
async def list_schedules(ctx: Ctx, request: ListSchedules) -> ScheduleList:
    """List your schedules; with the permission jobs.read those of everybody in the tenant."""
    window = ctx.engine.pages.window("list_schedules", request, ctx.principal)
    found, total = await ctx.engine.schedules.page(ctx.principal, window)
    shown = [show(schedule) for schedule in found]
    return ScheduleList(
        schedules=shown,
        items=shown,
        total_count=total,
        next_page_token=ctx.engine.pages.next_token("list_schedules", request, ctx.principal, window, total),
    )


@tool("POST /schedules", needs=SIGNED_IN, effect="write", status=201, location="/schedules/{schedule_id}")
async def create_schedule(ctx: Ctx, request: CreateSchedule) -> Schedule:
    """Run a tool by itself at the times of a cron expression, as you.

    Your rights are checked again at every run. Runs missed while no server was up are not made up for."""
    try:
        made = await ctx.engine.schedules.create(
            ctx.principal,
            name=request.name,
            tool=request.tool,
            request=checked_arguments(ctx.call.tools(), request.tool, request.arguments),
            cron=request.cron,
            time_zone=request.time_zone,
            schedule_id=request.schedule_id,
        )
    except InvalidArgument as error:  # no schema of ours can hold the other tool's, the calendar and the time zones
        raise Conflict(error.message, hint=error.hint) from error
    return show(made)


@tool("DELETE /schedules/{schedule_id}", needs=SIGNED_IN, effect="destroy", status=204)
async def delete_schedule(ctx: Ctx, request: ScheduleRef) -> Empty:
    """Delete a schedule; jobs that it started go on.

    Somebody else's schedule needs the permission tenant.manage."""
    await ctx.engine.schedules.delete(ctx.principal, request.schedule_id)
    return Empty()


def checked_arguments(permitted: list[Tool], name: str, arguments: dict[str, JsonValue]) -> str:
    """The request of a scheduled tool as JSON. Raises when the caller could not run it as a job now."""
    found = next((each for each in permitted if each.name == name), None)
    if found is None:
        raise NotFound(f"No tool {name!r} that you may call.", hint="search_tools finds tools by what they do.")
    if not (found.job or found.submits):
        raise Conflict(f"{name} does not run as a job.", hint="Only tools that run as jobs can be scheduled.")
    return read_arguments(found, arguments, "json").model_dump_json()


def show(schedule: StoredSchedule) -> Schedule:
    return Schedule(
        schedule_id=schedule.schedule_id,
        name=schedule.name,
        tool=schedule.tool,
        arguments=json.loads(schedule.request),
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        owner=schedule.principal.subject,
        created_at=datetime.fromtimestamp(schedule.created_at, UTC),
        next_at=datetime.fromtimestamp(schedule.next_at, UTC),
        last_at=None if schedule.last_at is None else datetime.fromtimestamp(schedule.last_at, UTC),
        last_job_id=schedule.last_job_id,
        last_error=schedule.last_error,
    )
