"""Answers questions with any LLM and keeps only the answers that pass a quality bar."""

__version__ = "0.1.0"
