"""Tracks without a press: one video, what to track it by, tracks, a prediction.

What belongs to one video (``given``, ``finder``, ``prediction``) knows neither where the video comes from nor where the
prediction goes to, so that anything may run it: the service in the background, the command ``prelabel``, or a cluster.
"""
