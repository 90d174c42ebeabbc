"""A project of the annotator as it lies in its folder, read for training and by the annotator.

Its events (events) lead to a state (state) of records; the annotator alone adds events.
"""
