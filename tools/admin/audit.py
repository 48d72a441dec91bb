"""The audit log: what was done by whom, and proof that nobody edited it."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from core.errors import Unauthorized
from core.pages import Paged, Window
from core.portable import Model
from core.tool import tool
from engine.audit.chain import Head
from engine.audit.log import AuditEntry
from engine.audit.search import Wanted
from engine.context import Ctx


class VerifyAuditLog(Model):
    """Which chain, and a head noted at an earlier verification."""

    noted_head: str = Field(
        "",
        pattern=r"^([0-9]{1,15}:[0-9a-f]{64})?$",
        description="`head` of an earlier verification, to hold it against.",
    )
    platform: bool = Field(
        False, description="Verify the records of calls without a tenant instead; needs platform.operate."
    )


class AuditLogVerification(Model):
    """What the walk along the chain found."""

    is_valid: bool = Field(description="True when no record was changed, removed, re-ordered or added.")
    checked_count: int = Field(description="Records whose place in the chain holds.")
    first_bad_seq: int | None = Field(description="Number of the first record that is wrong or missing.")
    reason: str = Field(description="What is wrong; empty when valid.")
    head: str = Field(description="Number and hash of the newest record. Note it outside Headwater.")


@tool("GET /audit/verify", needs="audit.read", effect="read")
async def verify_audit_log(ctx: Ctx, request: VerifyAuditLog) -> AuditLogVerification:
    """Prove that your tenant's audit log was not edited since it was written.

    It walks the hash chain from the first record to the sealed end. To rule out as well that the whole
    store was put back to an earlier state, give the head that an earlier verification answered."""
    if request.platform and not ctx.principal.may("platform.operate"):
        raise Unauthorized("The platform's own chain needs the permission platform.operate.")
    seq, _, digest = request.noted_head.partition(":")
    noted = Head(int(seq), bytes.fromhex(digest)) if digest else None
    found = await ctx.engine.audit.verify("" if request.platform else ctx.principal.tenant, noted=noted)
    return AuditLogVerification(
        is_valid=found.is_valid,
        checked_count=found.checked,
        first_bad_seq=found.first_bad_seq,
        reason=found.reason,
        head=f"{found.head_seq}:{found.head_hash}",
    )


class SearchAudit(Paged):
    """What to look for; whatever is left out is not looked at."""

    user_id: str = Field("", max_length=64, description="Who called: a user or client.")
    tool: str = Field("", max_length=64, description="What was called.")
    table: str = Field("", max_length=512, description="A table that the call touched, with its namespace.")
    connection_id: str | None = Field(None, max_length=64, description="Connection of `table`; left out: lakehouse.")
    resource: str = Field("", max_length=600, description="Anything else that it touched, as `dataset:ID` or `job:ID`.")
    decision: Literal["", "allowed", "refused", "failed"] = Field("", description="How it ended.")
    code: str = Field("", max_length=32, pattern="^[A-Z_]*$", description="Error code of the answer, or OK.")
    request_id: str = Field("", max_length=64, description="Of a call that was refused or failed.")
    face: str = Field("", max_length=32, description="Where it came in: `rest`, `mcp`, `grpc`, `cli`, `job`, …")
    since: datetime | None = Field(None, description="Calls from then on (UTC).")
    until: datetime | None = Field(None, description="Calls before then (UTC).")
    platform: bool = Field(False, description="Calls without a tenant instead; needs platform.operate.")


class AuditEvent(Model):
    """One call, without its arguments and its rows."""

    seq: int = Field(description="Its number in the tenant's log.")
    at: datetime = Field(description="When it ended (UTC).")
    user_id: str = Field(description="Who called.")
    via: str = Field(description="How they came: user, client, token, local, external or agent.")
    credential_id: str = Field(description="The client, token or key that they came with.")
    face: str = Field(description="Where it came in.")
    tool: str = Field(description="What was called.")
    effect: str = Field(description="`read`, `write` or `destroy`.")
    decision: str = Field(description="`allowed`, `refused` or `failed`.")
    code: str = Field(description="OK, or the error's code.")
    resources: list[str] = Field(description="What it touched.")
    request_id: str = Field(description="Id of the request.")
    job_id: str = Field(description="The job that it ran in or began; empty for none.")
    argument_digest: str = Field(description="Equal for equal arguments; keyed, so that it gives none away.")
    result_digest: str = Field(description="The same of what a write answered.")
    duration_ms: float = Field(description="How long it took.")


class AuditEvents(Model):
    """A page of what was found, newest first. It may be short, or empty, before the last one."""

    events: list[AuditEvent] = Field(description="The calls.")
    items: list[AuditEvent] = Field(description="The same list.")
    next_page_token: str | None = Field(description="Give it as `page_token` to look further; null at the end.")
    total_count: int | None = Field(description="Records in the log; null where something is looked for.")


@tool("POST /audit/search", needs="audit.read", effect="read")
async def search_audit(ctx: Ctx, request: SearchAudit) -> AuditEvents:
    """Find calls in your tenant's audit log by who, what, which table, decision and time, newest first.

    It costs the same however long the log is: a page that had to look at many records ends early, and its
    `next_page_token` goes on from there. Pages are stable while new calls are recorded."""
    if request.platform and not ctx.principal.may("platform.operate"):
        raise Unauthorized("The platform's own log needs the permission platform.operate.")
    engine, tenant = ctx.engine, "" if request.platform else ctx.principal.tenant
    window = engine.pages.window("search_audit", request, ctx.principal)
    by_skip = request.page_token is None
    skip, before = (window.offset, None) if by_skip else (0, window.offset)
    page = await engine.audit_search.find(tenant, _wanted(request), size=skip + window.size, before=before)
    events = [_event(entry) for entry in page.entries[skip:] if entry.record is not None]
    at, token = page.before, None
    if at is not None:  # what the token holds is the number to go on before
        token = engine.pages.next_token("search_audit", request, ctx.principal, Window(at, 0), at + 1)
    is_open = _wanted(request) == Wanted()
    total = await engine.audit_search.count(tenant) if is_open else None
    return AuditEvents(events=events, items=events, next_page_token=token, total_count=total)


def _wanted(request: SearchAudit) -> Wanted:
    resource = request.resource
    if request.table:
        resource = f"table:{request.connection_id or 'lakehouse'}/{request.table}"
    return Wanted(
        subject=request.user_id,
        tool=request.tool,
        resource=resource,
        decision=request.decision,
        code=request.code,
        request_id=request.request_id,
        face=request.face,
        since=_seconds(request.since),
        until=_seconds(request.until),
    )


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _event(entry: AuditEntry) -> AuditEvent:
    record = entry.record
    assert record is not None
    return AuditEvent(
        seq=entry.seq,
        at=record.at,
        user_id=record.subject,
        via=record.via,
        credential_id=record.credential_id,
        face=record.face,
        tool=record.tool,
        effect=record.effect,
        decision=record.decision,
        code=record.code,
        resources=list(record.resources),
        request_id=record.request_id,
        job_id=record.job_id,
        argument_digest=record.argument_digest,
        result_digest=record.result_digest,
        duration_ms=record.duration_ms,
    )
