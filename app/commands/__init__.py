"""What `python -m app <command>` can do: each command is thin, and calls the layers below."""
