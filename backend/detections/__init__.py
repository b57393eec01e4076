"""What a detector found in a video, from the files that detectors write: a module a format."""
