"""The flow's decisions, one stage a file. They import no adapter: an event in, effects out."""
