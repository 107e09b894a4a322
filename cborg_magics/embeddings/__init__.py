"""How does a column of texts become vectors that can be searched, kept and looked at?"""
