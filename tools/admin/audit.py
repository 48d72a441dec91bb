"""The audit log: proof that nobody edited it."""

from pydantic import Field

from core.errors import Unauthorized
from core.portable import Model
from core.tool import tool
from engine.audit.chain import Head
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
