"""Open ways to hardware: serial ports, the BLE scanner, played-back captures; nobody else opens a port or a radio.

`app` builds links from the configuration, `bridge.host` iterates `chunks()` (one consumer a link) and calls `write()`.
A link outlives its hardware: whatever is unplugged, held by somebody else or switched off becomes `state()`, with a
reason and what to do, and is tried again for ever.  `chunks()` raises only `ConfigError`, for what a person must change.
Queues are bounded: a serial link stops reading (the kernel, then the line, holds back), the scanner drops the oldest
advert; both are counted.
"""
