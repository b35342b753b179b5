"""Alarms reach people: who is told of what, a queue on disk, and one task for each output."""
