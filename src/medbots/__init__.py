"""Deploy, verify and repair AI bots on a self-hosted Medplum."""

__version__ = "0.1.0"
