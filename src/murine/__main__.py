"""`python -m murine`."""

from murine.cli import main

main()
