"""The Meshblu-compatible server: rules as pure tables in `core`, faces that turn HTTP and MQTT into jobs."""
