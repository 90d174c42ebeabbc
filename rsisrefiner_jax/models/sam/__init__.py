"""Segment Anything's prompt encoder and mask decoder, and SAM as a click model."""
