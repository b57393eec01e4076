"""Who is who: what objects look like, and matching them across frames."""
