"""What OpenCV prints by itself."""

import cv2

SILENT, ERRORS = 0, 2  # OpenCV's levels


def print_only(level: int) -> None:
    """Lets OpenCV print messages of a level and graver ones. In version 5 it lies elsewhere."""
    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(level)
    else:
        cv2.utils.logging.setLogLevel(level)
