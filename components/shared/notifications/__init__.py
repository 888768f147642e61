"""Messages to people and programs: what is said, how it is signed and sent, and that each is sent at least once."""
