"""Motion between the frames of a film."""
