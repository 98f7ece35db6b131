"""The command line: verbs resolve, call and render; nothing below this package prints."""
