"""A network trained further on the finished objects of a project, and what that has brought.

plan says what is trained on and with what, settings how; run carries it out, blending makes the
network that comes of it, outcome tells what it has brought.
"""
