"""`python -m keyhall` is the same program as `keyhall`."""

from keyhall.cli import main

main()
