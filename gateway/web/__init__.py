"""The page that a person opens: one HTML file with one script of ours, live over EventSource.

`app` hands in callables for status, events and the switch; the page knows nothing of the node.  It answers this
machine only.
"""
