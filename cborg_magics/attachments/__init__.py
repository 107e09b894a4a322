"""What can be attached? The tables are in `attach.py`: where a name is looked for, and what a
value is sent as."""
