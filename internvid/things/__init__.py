"""Names everyday things in pictures, by a classifier whose weights come with a package.

Belongs here: the network, the table of kinds, and how classes become kinds. Does not belong here: the sentences that
say so (`internvid.captions`), and the rows of a lake.
"""
