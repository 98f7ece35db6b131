"""Medplum: login, sessions, and the one client that speaks to its server."""
