"""The only package that opens ports and radios: bytes and adverts with the moment they came, no meaning."""
