"""Where is a name looked for?"""
