"""Refusals that Iceberg's protocol has names of its own for; a face shows the class's name."""

from core.errors import Conflict, InvalidArgument, NotFound


class NoSuchTable(NotFound):
    """There is no such table."""


class NoSuchNamespace(NotFound):
    """There is no such namespace."""


class NoSuchWarehouse(NotFound):
    """There is no such warehouse."""


class NoSuchView(NotFound):
    """There is no such view."""


class AlreadyExists(Conflict):
    """Something of that name is there."""


class NamespaceNotEmpty(Conflict):
    """The namespace holds something."""


class CommitFailed(Conflict):
    """The table changed since the client looked at it."""


class UnsupportedOperation(InvalidArgument):
    """This catalog does not do that."""
