"""Recordings: a run as a folder that replays on any engine, is proved at every segment, compared and carried about."""
