"""A typed client of the annotator's HTTP API."""

from rsisrefiner_client.client import Annotator, Refused

__all__ = ["Annotator", "Refused"]
