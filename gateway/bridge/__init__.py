"""Devices on one side, messages on the other.

`discovery` finds drivers; a `DriverHost` runs one of them on one link (`AdvertHost`: all BLE drivers on one scanner);
`Intake.accept` turns what codecs say into messages of devices, claiming unknown hardware; `Dispatcher.send` brings
commands to the host of their device. All four get what they call (`route`, `publish`, `may`, `finish`) from `app`;
nothing here knows the mesh, the broker or a driver by name. A failing driver fails its own host only.
"""
