"""What was answered before need not be paid for again: answers kept on disk, where that is wanted.

`entry` (what makes two questions the same) -> `folder` (the files) -> `replay` (a folder that came
with its notebook speaks for its service, where no key is set).
"""
