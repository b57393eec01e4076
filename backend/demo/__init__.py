"""A real Label Studio with this backend, two clips and a first track: the main job, to be tried or checked."""
