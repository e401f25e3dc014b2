"""Restartable sequences (rseq(2), programs/rseq.c): a stop in one is a preemption, after which the
kernel has the thread start it again."""

import time

from harness import NEVER, case, instruction_offsets


def started(t, rounds, inside):
    """With sites on each instruction of counted(), those of the sequence or the others."""
    client = t.rsp(t.server(f"rseq 4 {rounds}"), handshake=True)
    client.query()
    client.run_to("ready")
    start = client.address("counted")
    sites = [start + offset
             for offset in instruction_offsets(t, client.server.program[0], "counted")]
    first, end = client.address("inside"), client.address("committed")
    aborted = client.address("aborted")  # in front of it a signature, which is no code
    sites = [site for site in sites
             if (first <= site < end) == inside and not end + 9 <= site < aborted]
    for site in sites:
        client.insert(site, rest=NEVER)
    return client, sites


def in_order(t, client, stop, pattern):
    t.match(client.server.output(), pattern, f"what the program counted ({stop})")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")


@case()
def around(t):
    """Sites before, behind and where an aborted one goes on: each sequence is atomic."""
    client, _ = started(t, 3000, False)
    in_order(t, client, client.resume(), "^wrong=0 ")


@case()
def inside(t):
    """Sites inside: it is started again and again, for the client to see, until they are taken out."""
    client, sites = started(t, 300, True)
    for _ in range(5):
        client.send("vCont;c")
        time.sleep(0.1)
        client.raw(b"\x03")
        stop = client.stop_reply()
        t.equal((stop.kind, stop.signal), ("T", 2), f"Ctrl-C: {stop}")
    aborts = int.from_bytes(client.read_memory(client.address("aborts"), 8), "little")
    t.note(f"{aborts} times aborted")
    t.match(client.monitor("sites")[0], "; in place [0-9]+ times: in a restartable sequence$",
            "how it is done and why")
    for site in sites:
        client.remove(site)
    in_order(t, client, client.resume(), "^wrong=0 aborts=1$")
