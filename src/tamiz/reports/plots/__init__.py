"""The plots, one kind a file: each takes numbers and gives a `Figure` with the sentence that its numbers bear."""
