"""Breakpoints, conditions and commands that come, change and go while all threads run."""

import re
import time

from harness import case

FALSE = ";X3,220027"                       # const8 0, end
COUNT = ";X%x,%s"


def counting(variable, false=True):
    """A condition that counts its evaluations in a trace state variable, and holds or not:
    getv N, const8 1, add, setv N, pop, const8 value, end."""
    number = f"{variable:04x}"
    code = f"2c{number}2201022d{number}2922{0 if false else 1:02x}27"
    return COUNT % (len(code) // 2, code)


def variable(client, number):
    reply = client.ask(f"qTV:{number:x}")
    return int(reply[1:], 16)


def started(t, command_line):
    client = t.rsp(program=command_line, handshake=True)
    client.query()
    client.run_to("main")
    for number in range(1, 5):
        client.ok(f"QTDV:{number:x}:0:0:{f'v{number}'.encode().hex()}")
    return client


@case(gdbserver="stops all threads for each hit, and takes too long")
def replaced_while_running(t):
    """Four threads hit all the time; the condition is replaced again and again in non-stop mode.
    Every call is counted by one of the conditions, and by exactly one."""
    client = started(t, "hits 4 8000")
    client.non_stop()
    client.ask("?")
    client.ask("vStopped")
    alpha, finished = client.address("alpha"), client.address("finished")
    client.insert(finished)
    client.insert(alpha, rest=counting(1))
    client.ok("vCont;c")
    replaced = 0
    while not client.notifications:
        client.insert(alpha, rest=counting(1 + replaced % 3))
        replaced += 1
        client._fill(0)
        drain(client)
    stop = client.take_stops()[0]
    t.equal(stop.pc, finished, repr(stop))
    counted = [variable(client, number) for number in (1, 2, 3)]
    t.equal(sum(counted), 32000, f"evaluations {counted} after {replaced} replacements")
    t.check(replaced > 3, f"only {replaced} replacements: this proves nothing")
    t.note(f"{replaced} replacements")


def drain(client):
    """Notifications that have come are put aside; no packet is due."""
    while (item := client._next()) is not None:
        if item[0] == "%":
            client.notifications.append(item[1])


@case(gdbserver="stops all threads for each hit, and takes too long")
def removed_and_inserted_while_running(t):
    """The breakpoint is put in, changed and taken out while four threads run through it: no thread
    is lost, and the server has counted as many hits as conditions were evaluated."""
    client = started(t, "spin 4 4000")
    client.non_stop()
    client.ask("?")
    client.ask("vStopped")
    hot = client.address("hot")
    client.ok("vCont;c")
    changes = 0
    packets = (f"Z0,{hot:x},1" + counting(1), f"Z0,{hot:x},1" + counting(2), f"z0,{hot:x},1")
    while all(client.ask(packet) == "OK" for packet in packets):  # until the process is gone
        changes += 1
    t.equal(client.take_stops()[0].kind, "W", "the end")
    hits = variable(client, 1) + variable(client, 2)
    row = t.match(client.monitor("stats")[0], rf"^{hot:#018x} +\w+ +(\d+) +(\d+) ", "its row")
    t.equal((int(row[1]), int(row[2])), (hits, hits), "hits and false hits")
    t.check(hits > 100 and changes > 3, f"only {hits} hits, {changes} changes: this proves nothing")
    t.note(f"{hits} hits, {changes} times in and out")


@case(gdbserver="reports no hit while the others run")
def made_true_while_running(t):
    """A condition that becomes true while the thread runs stops it at its next call."""
    client = started(t, "spin 2 100000")
    client.non_stop()
    client.ask("?")
    client.ask("vStopped")
    hot = client.address("hot")
    client.insert(hot, rest=FALSE)
    client.ok("vCont;c")
    for _ in range(5):
        time.sleep(0.01)
        client.insert(hot, rest=counting(1, false=False))
        stops = []
        while len({stop.thread for stop in stops}) < 2:
            stops += client.take_stops()
        t.equal({stop.pc for stop in stops}, {hot}, "where both stopped")
        client.insert(hot, rest=FALSE)
        for stop in stops:
            client.ok(f"vCont;c:{stop.thread}")


@case()
def printed_in_order(t):
    """The agent's printf of three threads: every line once, each thread's in its order."""
    gdb = t.gdb("hits 3 200")
    gdb.cli("set dprintf-style agent")
    gdb.cli('dprintf alpha,"<%ld %5d|%-5d|%c|%x>\\n", i, (int)i, (int)i, 65 + (int)(i % 26), '
            "(int)(i * 16)")
    stop = gdb.cont(seconds=60)
    t.check(stop.exited, repr(stop))
    console = "".join(re.findall(r'[~@]"(.*?)"', "\n".join(gdb.transcript))) + gdb.server.output()
    lines = [int(number) for number in re.findall(r"<(\d+) +\d+\|\d+ *\|[A-Z]\|[0-9a-f]+>", console)]
    t.equal(sorted(lines), sorted(list(range(200)) * 3), "lines")
    t.check("<77    77|77   |Z|4d0>" in console, "how a line looks")
