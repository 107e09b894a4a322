"""Is it set up right? For a person (`person.py`), and for a machine of many (`machine.py`).

A check is a function that gives facts and, among them, what is to be mended; the checks of a
report stand in a table. `report.py` shows them, and `keys.py` keeps keys out of what is shown.
"""
