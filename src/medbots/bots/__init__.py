"""What deployed bots do and did: run one, and read its runs and the trail that they leave."""
