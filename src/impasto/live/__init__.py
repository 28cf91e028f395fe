"""Live pictures: from a camera, a screen or a stream, painted, to a window, a file or a stream."""
