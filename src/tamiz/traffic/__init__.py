"""Traffic: who asks what and when, and the open-loop run that has it happen. Pure but for the log's files."""
