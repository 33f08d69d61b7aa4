"""Every numbered statement of MQTT 5.0, and those that no row of this suite is for, each with the reason."""

SECTIONS = {
    "1.5.4": 3,
    "1.5.5": 1,
    "1.5.7": 1,
    "2.1.3": 1,
    "2.2.1": 6,
    "2.2.2": 1,
    "3.1.0": 2,
    "3.1.2": 30,
    "3.1.3": 12,
    "3.1.4": 6,
    "3.2.0": 2,
    "3.2.2": 22,
    "3.3.1": 13,
    "3.3.2": 20,
    "3.3.4": 10,
    "3.4.2": 3,
    "3.5.2": 3,
    "3.6.1": 1,
    "3.6.2": 3,
    "3.7.2": 3,
    "3.8.1": 1,
    "3.8.3": 5,
    "3.8.4": 8,
    "3.9.2": 2,
    "3.9.3": 2,
    "3.10.1": 1,
    "3.10.3": 2,
    "3.10.4": 6,
    "3.11.2": 2,
    "3.11.3": 2,
    "3.12.4": 1,
    "3.14.0": 1,
    "3.14.1": 1,
    "3.14.2": 4,
    "3.14.4": 3,
    "3.15.1": 1,
    "3.15.2": 3,
    "4.1.0": 2,
    "4.2.0": 1,
    "4.3.1": 1,
    "4.3.2": 5,
    "4.3.3": 13,
    "4.4.0": 2,
    "4.5.0": 2,
    "4.6.0": 6,
    "4.7.0": 1,
    "4.7.1": 2,
    "4.7.2": 1,
    "4.7.3": 4,
    "4.8.2": 6,
    "4.9.0": 3,
    "4.12.0": 7,
    "4.12.1": 2,
    "4.13.1": 1,
    "4.13.2": 1,
    "6.0.0": 4,
}
"""Section -> how many it has."""

NEVER_GIVEN = {"2.2.1-1"}
"""Numbers that the final standard leaves out."""

EVERY = {
    f"{section}-{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)
} - NEVER_GIVEN

OF_CLIENTS = {
    "3.1.2-20",  # sends PINGREQ when it has nothing else to say
    "3.1.2-21",  # keeps to the server's keep-alive
    "3.1.2-30",  # sends nothing but AUTH before CONNACK when it named a method
    "3.2.2-4",  # closes when it has no session and the server has
    "3.2.2-5",  # forgets its session when the server has none
    "3.2.2-11",  # keeps to the server's maximum QoS
    "3.2.2-14",  # keeps to the server's lack of retained messages
    "3.2.2-21",  # keeps to the server's keep-alive
    "3.3.2-10",  # accepts all aliases that it allowed
    "3.3.4-8",  # delays nothing but PUBLISH for the receive maximum
    "4.5.0-2",  # acknowledges what it does not want, too
    "4.6.0-1",  # sends again in order
    "4.6.0-2",
    "4.6.0-3",
    "4.6.0-4",
    "4.12.0-3",  # answers AUTH with AUTH
    "4.12.1-1",  # authenticates again with the same method
    "6.0.0-3",  # asks for the subprotocol
}
"""Only a client can break these, and a server cannot even notice."""

ELSEWHERE = {
    "4.7.3-3": "no packet can hold a longer string: its length has two bytes",
    "3.1.3-8": "MQTT 5 clients may have any client id, so none is refused",
    "3.2.2-10": "all QoS are supported, see the row of 3.2.2-9",
    "3.2.2-12": "all QoS are supported, see the row of 3.2.2-9",
    "3.2.2-13": "retained messages are supported, see the row of 3.1.2-15",
    "4.12.0-2": "no authentication method is supported, so none continues; see the row of 4.12.0-1",
    "4.12.0-5": "no authentication method is supported, so none is confirmed; see the row of 4.12.0-1",
    "4.12.1-2": "no authentication method is supported, so none is repeated; see the row of 4.12.0-7",
    "3.15.2-1": "the broker never sends AUTH; see the row of 4.12.0-6",
    "3.15.2-2": "the broker never sends AUTH; see the row of 4.12.0-6",
    "3.15.2-3": "the broker never sends AUTH; see the row of 4.12.0-6",
    "6.0.0-1": "tests/conformance/v311/framing.py: frames are the same in both versions",
    "6.0.0-2": "tests/conformance/v311/framing.py: frames are the same in both versions",
    "6.0.0-4": "tests/conformance/v311/framing.py: frames are the same in both versions",
}
"""Statement -> why it has no row, or where it is tested."""
