"""Messages to people and programs: what is said, and how it is signed and sent."""
