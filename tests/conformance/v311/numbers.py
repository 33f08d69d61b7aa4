"""Every normative statement of MQTT 3.1.1 by number (its appendix B), and those that no test of a server can judge."""

from tests.conformance.statements import numbers

COUNTS = {
    "1.5.3": 3,
    "2.2.2": 2,
    "2.3.1": 7,
    "3.1.0": 2,
    "3.1.2": 24,
    "3.1.3": 11,
    "3.1.4": 5,
    "3.2.0": 1,
    "3.2.2": 6,
    "3.3.1": 12,
    "3.3.2": 3,
    "3.3.4": 1,
    "3.3.5": 2,
    "3.6.1": 1,
    "3.8.1": 1,
    "3.8.3": 4,
    "3.8.4": 6,
    "3.9.3": 2,
    "3.10.1": 1,
    "3.10.3": 2,
    "3.10.4": 6,
    "3.12.4": 1,
    "3.14.1": 1,
    "3.14.4": 3,
    "4.1.0": 2,
    "4.3.1": 1,
    "4.3.2": 2,
    "4.3.3": 2,
    "4.4.0": 1,
    "4.5.0": 2,
    "4.6.0": 6,
    "4.7.1": 3,
    "4.7.2": 1,
    "4.7.3": 4,
    "4.8.0": 2,
    "6.0.0": 4,
    "7.0.0": 2,
    "7.1.1": 1,
    "7.1.2": 1,
}
"""Section -> how many statements it has."""

ALL = {number for section, count in COUNTS.items() for number in numbers(section, count)}

CLIENT = "only a client can break it"
LEFT_OUT = {
    "2.3.1-2": CLIENT,
    "2.3.1-3": CLIENT,
    "3.1.2-23": CLIENT,
    "3.1.3-7": f"{CLIENT}; what the server answers is 3.1.3-8",
    "3.14.4-1": CLIENT,
    "3.14.4-2": CLIENT,
    "4.5.0-2": CLIENT,
    "4.6.0-2": CLIENT,
    "4.6.0-3": CLIENT,
    "4.6.0-4": CLIENT,
    "6.0.0-3": CLIENT,
    "7.1.2-1": CLIENT,
    "3.2.2-6": "each of our refusals has a return code, so the case never comes",
    "3.8.3-2": "it is about servers without wildcards",
    "4.7.3-3": "the two bytes of length cannot say more",
    "4.8.0-2": "no transient error can be brought about from outside",
    "7.0.0-1": "it is about our bridge, which the tests of gateway.broker.peers judge as a client",
}
"""Number -> why it has no row."""
