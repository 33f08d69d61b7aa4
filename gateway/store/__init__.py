"""The only package that speaks SQL. Two databases: `state.db` (who is who) and `log.db` (what was said).

One `Committer` owns the writing connection of each; packages hand it functions, it runs them in one
transaction a group.  Readers use connections of their own, briefly.
"""
