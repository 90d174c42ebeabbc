"""Refusals that have a status of their own; any other `UserError` is a 422."""

from rsisrefiner_jax.errors import UserError


class Missing(UserError):
    """There is no such image, object or session (404)."""


class Conflict(UserError):
    """It cannot be done now, as things stand (409)."""


class NotReady(UserError):
    """The model is not there (503)."""


class NoSpace(UserError):
    """The disk is full (507)."""


class Busy(UserError):
    """Too much of this kind is being done already; worth trying again soon (503)."""
