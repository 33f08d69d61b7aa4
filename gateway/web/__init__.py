"""The pages a person opens: server-rendered, one script of ours, live over EventSource."""
