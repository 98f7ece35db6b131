"""An OpenAI-compatible model server for this machine: an offline stand-in, and it says so."""
