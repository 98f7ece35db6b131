"""The sample patients, their way into a project, and what arrives of them."""
