"""Video files: exact frames in bounded memory, Label Studio's frame numbers, shot cuts, and writing clips.

``reader`` serves decoded frames by index or time (``source`` opens the file, ``packets`` lays out its index,
``cursor`` decodes, ``picture`` turns a decoded frame into an upright RGB image), ``ahead`` decodes in the
background, ``clock`` converts Label Studio's frame numbers, ``shots`` finds cuts, ``writer`` makes a file.
"""
