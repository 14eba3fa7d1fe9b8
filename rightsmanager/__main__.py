"""`python -m rightsmanager` is `rightsmanager`."""

from rightsmanager.cli import main

if __name__ == "__main__":
    main()
