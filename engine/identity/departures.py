"""The end of somebody's access: tokens, sessions and links go with them, and do not come back."""

from sqlalchemy import Connection, delete, update

from engine.store.tables import oauth_consents, one_time_links, passkeys, sessions, tokens, users


def end_access(connection: Connection, tenant: str, subject: str, now: float) -> None:
    """Revoke every personal token and session, forget every link; tokens that nobody keeps a list of are over too."""
    own_tokens = (tokens.c.tenant_id == tenant, tokens.c.subject == subject, tokens.c.revoked_at.is_(None))
    connection.execute(update(tokens).where(*own_tokens).values(revoked_at=now))
    end_sessions(connection, tenant, subject, now)
    own_links = (one_time_links.c.tenant_id == tenant, one_time_links.c.user_id == subject)
    connection.execute(delete(one_time_links).where(*own_links))
    end_passkeys(connection, tenant, subject)
    agreed = (oauth_consents.c.tenant_id == tenant, oauth_consents.c.subject == subject)
    connection.execute(delete(oauth_consents).where(*agreed))
    own = (users.c.tenant_id == tenant, users.c.user_id == subject)
    connection.execute(update(users).where(*own).values(access_ended_at=now))


def end_passkeys(connection: Connection, tenant: str, user_id: str) -> None:
    """No device lets somebody in any more."""
    connection.execute(delete(passkeys).where(passkeys.c.tenant_id == tenant, passkeys.c.user_id == user_id))


def end_sessions(connection: Connection, tenant: str, subject: str, now: float) -> None:
    """Sign somebody out everywhere."""
    own = (sessions.c.tenant_id == tenant, sessions.c.subject == subject, sessions.c.revoked_at.is_(None))
    connection.execute(update(sessions).where(*own).values(revoked_at=now))
