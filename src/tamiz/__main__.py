"""`python -m tamiz`."""

from tamiz.cli import main

main()
