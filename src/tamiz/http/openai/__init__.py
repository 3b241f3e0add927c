"""The front that speaks OpenAI's API: chat completions that are cached, retried and held to the bar."""
