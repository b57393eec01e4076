"""Yardsticks: accuracy, association, annotator effort, speed."""
