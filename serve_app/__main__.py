"""`python -m serve_app`."""

from serve_app.cli import main

if __name__ == "__main__":
    main()
