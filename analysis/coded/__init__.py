"""Sets of utterances that people gave a category code, one module a set, all in the shape of ``common.CodedUtterance``.

A code is a name and no level: nothing here is a rating.
"""
