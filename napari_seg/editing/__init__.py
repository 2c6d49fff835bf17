"""Correction by hand: pure functions from an annotation and a gesture to an edit."""
