"""What a process tells of its work: logs and traces."""
