"""The audit log: proof that nobody edited it."""

from pydantic import Field

from core.errors import InvalidArgument, Unauthorized
from core.portable import Model
from core.tool import tool
from engine.audit.chain import Head
from engine.context import Ctx


class VerifyAuditLog(Model):
    """Which chain, and a head noted at an earlier verification."""

    noted_seq: int = Field(0, ge=0, description="`head_seq` of an earlier verification that the chain must still hold.")
    noted_hash: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="`head_hash` of that verification.")
    platform: bool = Field(
        False, description="Verify the records of calls without a tenant instead; needs platform.operate."
    )


class AuditLogVerification(Model):
    """What the walk along the chain found."""

    is_valid: bool = Field(description="True when no record was changed, removed, re-ordered or added.")
    checked_count: int = Field(description="Records whose place in the chain holds.")
    first_bad_seq: int | None = Field(description="Number of the first record that is wrong or missing.")
    reason: str = Field(description="What is wrong; empty when valid.")
    head_seq: int = Field(description="Number of the newest record. Note it with `head_hash` outside Headwater.")
    head_hash: str = Field(description="Hash of the newest record, hexadecimal.")


@tool("GET /audit/verify", needs="audit.read", effect="read")
async def verify_audit_log(ctx: Ctx, request: VerifyAuditLog) -> AuditLogVerification:
    """Prove that your tenant's audit log was not edited since it was written.

    It walks the hash chain from the first record to the sealed end. To rule out as well that the whole
    store was put back to an earlier state, give the head that an earlier verification answered."""
    if request.platform and not ctx.principal.may("platform.operate"):
        raise Unauthorized("The platform's own chain needs the permission platform.operate.")
    if bool(request.noted_seq) != bool(request.noted_hash):
        raise InvalidArgument("noted_seq and noted_hash belong together.", hint="Give both of them, or none.")
    noted = Head(request.noted_seq, bytes.fromhex(request.noted_hash)) if request.noted_seq else None
    found = await ctx.engine.audit.verify("" if request.platform else ctx.principal.tenant, noted=noted)
    return AuditLogVerification(
        is_valid=found.is_valid,
        checked_count=found.checked,
        first_bad_seq=found.first_bad_seq,
        reason=found.reason,
        head_seq=found.head_seq,
        head_hash=found.head_hash,
    )
