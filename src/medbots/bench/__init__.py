"""The embedding store measured beside the deployment guide's, in one run on one database."""
