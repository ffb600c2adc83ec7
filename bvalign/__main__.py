"""`python -m bvalign`."""

from bvalign.cli import main

if __name__ == "__main__":
    main()
