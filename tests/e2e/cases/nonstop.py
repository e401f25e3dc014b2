"""The non-stop protocol to the letter: notifications, vStopped, ?, vCont;t, and storms."""

import os
import re

from harness import NEVER, RspClient, case, procfs
from harness.rsp import StopReply


def started(t, command_line, symbol="ready"):
    """Non-stop client; the program has run to `symbol` in all-stop first, where that is easier."""
    client = t.rsp(t.server(command_line), handshake=True)
    client.query()
    client.run_to(symbol)
    client.non_stop()
    return client, client.stopped_threads()


@case(gdbserver="tells them all by vStopped, which gdb does not survive")
def query_tells_one_then_the_others(t):
    """? replies with one stopped thread; the others are notified, but not before the client's next
    request, and QPassSignals, which gdb sends right after the query, does not count."""
    client = t.rsp(t.server("selfcheck 3"), handshake=True)
    client.query()
    client.run_to("ready")
    client.non_stop()
    client.silence(0.1)
    stops = [client.query()]
    t.equal(client.ask("vStopped"), "OK", "reply to vStopped")
    client.ok("QPassSignals:")
    client.silence(0.1)
    threads = client.threads()
    stops += client.take_stops()
    t.equal(sorted(stop.thread for stop in stops), sorted(threads), "threads that were told")
    client.silence(0.1)


@case()
def resume_all_and_stop_all(t):
    """vCont;c is OK at once; vCont;t gives T00 for each thread, one notification at a time."""
    client, stops = started(t, "selfcheck 3")
    for _ in range(5):
        client.ok("vCont;c")
        client.silence(0.05)
        client.ok("vCont;t")
        reported = client.take_stops()
        while len(reported) < 4:
            reported += client.take_stops()
        t.equal(sorted(stop.thread for stop in reported), sorted(client.threads()), "ids")
        t.equal({stop.signal for stop in reported}, {0}, "signals")
        client.silence(0.05)
    t.check(stops, "stops")


@case()
def no_resumed_thread_left(t):
    """N as a notification when the only resumed thread exits, behind the exit where that is told."""
    for told in False, True:
        client, stops = started(t, "storm 1 2", "visit")
        thread = next(stop.thread for stop in stops if stop.signal == 5)
        if told:
            client.ok(f"QThreadOptions;2:{thread}")
        client.ok(f"vCont;c:{thread}")
        t.equal([stop.kind for stop in client.take_stops()], ["w", "N"] if told else ["N"], "stops")
        client.ok("vCont;c")
        t.equal([stop.kind for stop in client.take_stops()], ["W"], "the end")


@case()
def one_notification_outstanding(t):
    """With several threads stopped, nothing more is sent until vStopped asks for it."""
    client, _ = started(t, "selfcheck 4")
    client.insert(client.address("sum_step"))
    client.ok("vCont;c")
    first = client.notification()
    t.match(first, "^Stop:T05swbreak:;.*thread:p", "the notification")
    client.silence(0.3)
    stops, reply = [StopReply(first.removeprefix("Stop:"))], client.ask("vStopped")
    while reply != "OK":
        stops.append(StopReply(reply))
        reply = client.ask("vStopped")
    t.equal(len({stop.thread for stop in stops}), len(stops), "no thread twice")
    t.equal(len(stops), 4, f"every worker hit: {stops}")
    client.silence(0.1)


@case()
def stop_what_is_stopped(t):
    """vCont;t on a stopped thread is OK and reports nothing; c on a running one neither."""
    client, stops = started(t, "selfcheck 2")
    client.ok("vCont;t")
    client.silence(0.1)
    client.ok("vCont;c")
    client.ok("vCont;c")
    client.silence(0.1)
    client.ok(f"vCont;t:{stops[1].thread}")
    reported = client.take_stops()
    t.equal([(s.thread, s.signal) for s in reported], [(stops[1].thread, 0)], "the one")
    client.ok(f"vCont;t:{stops[1].thread}")
    client.silence(0.1)


@case()
def mixed_actions(t):
    """vCont;s:A;c:B steps one, resumes another; the third stays stopped."""
    client, stops = started(t, "selfcheck 2")
    a, b, c = sorted(stop.thread for stop in stops)
    client.ok(f"vCont;s:{b};c:{a}")
    reported = client.take_stops()
    t.equal([(s.thread, s.signal) for s in reported], [(b, 5)], "the step")
    client.ok("vCont;t")
    reported = client.take_stops()
    t.equal([(s.thread, s.signal) for s in reported], [(a, 0)], "the one that ran")
    t.check(c, "the third was never resumed")


@case()
def breakpoint_set_while_running(t):
    """Z0 and z0 while all threads run: hits come, then no more, nobody is stopped for it."""
    client, _ = started(t, "selfcheck 3")
    step = client.address("sum_step")
    client.ok("vCont;c")
    client.silence(0.1)
    for _ in range(5):
        client.insert(step)
        stops = {}
        while len(stops) < 3:
            for stop in client.take_stops():
                t.equal(stop.pc, step, repr(stop))
                t.check(stop.thread not in stops, f"{stop.thread} reported twice")
                stops[stop.thread] = stop
        client.remove(step)
        client.ok("vCont;c")
        client.silence(0.05)
    t.equal(client.read_memory(client.address("wrong"), 8), bytes(8), "wrong sums")


@case(timeout=90)
def condition_changed_while_running(t):
    """A condition replaced again and again while threads hit: every hit when it is true, none else."""
    client, _ = started(t, "selfcheck 3")
    step = client.address("sum_step")
    client.insert(step, rest=NEVER)
    client.ok("vCont;c")
    for _ in range(20):
        client.insert(step, rest=NEVER)
        client.silence(0.01)
    client.insert(step)
    stops = client.take_stops()
    while len(stops) < 3:
        stops += client.take_stops()
    t.equal({stop.pc for stop in stops}, {step}, "pc of the stops")
    client.remove(step)
    client.ok("vCont;c")
    client.silence(0.1)
    t.equal(client.read_memory(client.address("wrong"), 8), bytes(8), "wrong sums")


@case(timeout=120)
def storm_of_simultaneous_hits(t):
    """Four threads at one site, resumed one by one: as many stops as the program counts calls."""
    client, _ = started(t, "hits 4 60", "main")
    alpha = client.address("alpha")
    second = alpha + 1  # after push %rbp: the client steps off by moving on, not by lifting
    client.insert(alpha)
    client.ok("vCont;c")
    hits, ended = 0, None
    while not ended:
        for stop in client.take_stops():
            if stop.kind == "W":
                ended = stop
                continue
            if stop.kind != "T":
                continue
            t.equal((stop.signal, stop.pc), (5, alpha), repr(stop))
            hits += 1
            # Emulates push %rbp, as a client that steps over a breakpoint would by other means.
            client.ok("Hg" + stop.thread)
            rsp, rbp = client.register_value("rsp"), client.register("rbp")
            client.write_memory(rsp - 8, rbp)
            client.write_register("rsp", rsp - 8)
            client.write_register("rip", second)
            client.ok(f"vCont;c:{stop.thread}")
    t.equal(hits, 240, "stops")
    t.match(client.server.output(), "^alpha=240 beta=240 ", "the program's count")


@case()
def exit_is_a_notification(t):
    """The end comes as %Stop:W; after it ? says OK: there is nobody."""
    client, _ = started(t, "ends exit 9")
    client.ok("vCont;c")
    stops = client.take_stops()
    t.equal([(s.kind, s.status) for s in stops], [("W", 9)], "the end")


@case()
def switching_back_stops_all(t):
    """QNonStop:0 while threads run: OK, then ? shows a stopped program; all-stop works again."""
    client, _ = started(t, "selfcheck 3")
    client.ok("vCont;c")
    client.silence(0.05)
    client.ok("QNonStop:0")
    t.equal(client.query().kind, "T", "reply to ?")
    client.run_to("sum_step")
    t.equal(client.read_memory(client.address("wrong"), 8), bytes(8), "wrong sums")


@case()
def attach_stops_nobody(t):
    """vAttach in non-stop is OK and stops nothing until vCont;t."""
    process = t.spawn("selfcheck 3")
    process.wait_output("beat 2 ")
    client = t.rsp(t.server(multi=True), handshake=True)
    client.non_stop()
    client.ok(f"vAttach;{process.pid:x}")
    count = process.output().count("beat")
    t.wait_until(lambda: process.output().count("beat") > count + 2, "the program to go on")
    client.ok(f"vCont;t:p{process.pid:x}.-1")
    stops = []
    while len(stops) < 4:
        stops += client.take_stops()
    t.equal(sorted(s.tid for s in stops), procfs.threads(process.pid), "threads reported")
    client.ok(f"D;{process.pid:x}")
    count = process.output().count("beat")
    t.wait_until(lambda: process.output().count("beat") > count + 2, "the program to go on")
    t.equal(procfs.tracer(process.pid), 0, "tracer")


@case()
def run_replies_with_a_stop(t):
    """vRun replies with a stop reply even in non-stop mode."""
    client = t.rsp(t.server(multi=True), handshake=True)
    client.non_stop()
    t.equal(client.ask("?"), "OK", "nobody is stopped: nobody is there")
    path = t.program("ends")[0]
    stop = StopReply(client.ask("vRun;" + os.fsencode(path).hex() + ";" + b"exit".hex()))
    t.equal((stop.kind, stop.signal), ("T", 5), repr(stop))
    client.ok("vCont;c")
    t.equal([s.kind for s in client.take_stops()], ["W"], "the end")


@case()
def signals_in_non_stop(t):
    """A signal stops only its thread; vCont;C passes it on."""
    client, _ = started(t, "signals handled 2")
    seen = []
    client.ok("vCont;c")
    while True:
        stop = client.take_stops()[0]
        if stop.kind != "T":
            break
        seen.append(stop.signal)
        client.ok(f"vCont;C{stop.signal:02x}:{stop.thread}")
    t.equal((stop.kind, stop.status), ("W", 0), repr(stop))
    t.equal(len(seen), 6, "signals")
    t.match(client.server.output(), "^usr1=2 usr2=2 rt=2 ", "signals handled")


@case(gdbserver={"all-stop": "dies of an assertion at the first thread exit"})
def thread_events(t):
    """QThreadEvents:1: create and exit of threads are stops, in all-stop mode."""
    client = t.rsp(t.server("storm 1 3"), handshake=True)
    client.query()
    client.run_to("main")
    client.ok("QThreadEvents:1")
    created, exited = [], []
    stop = client.resume()
    while stop.kind in "Tw":
        if stop.kind == "w":
            exited.append(stop.thread)
        elif "create" in stop:
            created.append(stop.thread)
        stop = client.resume()
    t.equal(stop.kind, "W", "the end")
    t.equal(len(created), 4, f"threads created: {created}")
    t.check(set(exited) <= set(created) and len(exited) >= 3, f"threads that ended: {exited}")


@case()
def catch_syscalls_raw(t):
    """QCatchSyscalls:1;N stops at entry and return of that call only."""
    client = t.rsp(t.server("ends exit 0"), handshake=True)
    client.query()
    client.run_to("ready")
    client.ok("QCatchSyscalls:1;e7")
    stop = client.resume()
    t.equal(stop.fields.get("syscall_entry"), "e7", f"exit_group: {stop}")
    client.ok("QCatchSyscalls:0")
    t.equal(client.resume().kind, "W", "the end")


@case()
def reconnect_keeps_nothing_outstanding(t):
    """A client that leaves with a notification unanswered doesn't confuse the next one."""
    server = t.server("selfcheck 3", once=False)
    client = t.rsp(server, handshake=True)
    client.query()
    client.run_to("ready")
    client.non_stop()
    client.stopped_threads()
    client.ok("vCont;c")
    client.silence(0.05)
    client.ok("vCont;t")
    client.notification()
    client.close()
    server.wait_port(2)
    second = RspClient(t, server, handshake=True)
    t.match(second.ask("?"), "^T", "reply to ?")
    t.check(re.match(r"^[0-9a-fx]+$", second.ask("g")), "registers")
