"""Real servers for the tests and for `make cluster`, as processes of this machine; no part of what is shipped."""
