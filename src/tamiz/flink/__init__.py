"""The judge as a Flink job, an alternative to judge workers: the same decision, with its memory in Flink's state."""
