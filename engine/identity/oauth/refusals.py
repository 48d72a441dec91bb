"""What OAuth refuses, by the names that its RFCs give."""

from core.errors import InvalidArgument, RateLimited, Unauthenticated


class OAuthRefused(InvalidArgument):
    """A request that OAuth refuses; `oauth` is the error code of its RFC."""

    oauth = "invalid_request"
    tenant = subject = ""  # whose sign-in it was, where that is known: for the audit


class InvalidGrant(OAuthRefused):
    """The code or refresh token does not work, or not any more."""

    oauth = "invalid_grant"


class InvalidTarget(OAuthRefused):
    """The resource is none of this server's."""

    oauth = "invalid_target"


class InvalidScope(OAuthRefused):
    """A scope that does not exist here."""

    oauth = "invalid_scope"


class UnsupportedGrantType(OAuthRefused):
    """A grant that this endpoint does not serve."""

    oauth = "unsupported_grant_type"


class InvalidRedirect(OAuthRefused):
    """An address that nobody is sent back to."""

    oauth = "invalid_redirect_uri"


class InvalidRegistration(OAuthRefused):
    """An application that is not taken in."""

    oauth = "invalid_client_metadata"


class Pending(OAuthRefused):
    """Nobody has answered on the page yet."""

    oauth = "authorization_pending"


class SlowDown(OAuthRefused):
    """The device asks too often."""

    oauth = "slow_down"


class AccessDenied(OAuthRefused):
    """Somebody said no."""

    oauth = "access_denied"


class CodeExpired(OAuthRefused):
    """Nobody answered in time."""

    oauth = "expired_token"


class InvalidClient(Unauthenticated):
    """The application is not known, or did not prove to be it."""

    oauth = "invalid_client"


class TooManyApps(RateLimited):
    """Applications are registered faster than anybody uses them."""

    oauth = "temporarily_unavailable"
