"""The gate: tells good answers from bad ones by checks of its own, without any call."""
