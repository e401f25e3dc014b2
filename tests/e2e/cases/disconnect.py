"""Clients that leave, with and without a word, and what stays in the program: nothing."""

import os
import signal
import time

from harness import ALL_STOP, BOTH, NEVER, RspClient, case, hexed, procfs
from harness import server as server_module
from harness.rsp import GDB_FEATURES, StopReply


def beats(process_or_server):
    return process_or_server.output().count("beat")


def goes_on(t, process):
    count = beats(process)
    t.wait_until(lambda: beats(process) > count + 2, "the program to go on")


def clean(t, pid, path):
    t.equal(procfs.text_differences(pid, path), [], "text differs from the file")


def finish(t, process):
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    t.match(process.output(), r"^done rounds=\d+ wrong=0 ", "the program's last line")


def attached(t, rest=NEVER, features=GDB_FEATURES, **options):
    """selfcheck running, a raw client attached, a site in step(), everything resumed."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 2 ")
    server = t.server_of(process, **options)
    client = t.rsp(server)
    client.handshake(features)
    client.query()
    client.insert(client.address("sum_step"), rest=rest)
    return process, server, client


@case(gdbserver="leaves its breakpoint bytes in the program")
def bare_detach(t):
    """D without removing breakpoints first, a thread reported at one of them."""
    for packet, rest in (("D", ""), ("D", NEVER), ("D;pid", ""), ("D;pid", NEVER)):
        features = GDB_FEATURES if "pid" in packet else GDB_FEATURES.replace("multiprocess+;", "")
        process, server, client = attached(t, rest, features)
        if not rest:
            t.check("swbreak" in client.resume(), "a hit")
        client.ok(packet.replace("pid", f"{process.pid:x}"))
        goes_on(t, process)
        clean(t, process.pid, process.words[0])
        t.equal(procfs.tracer(process.pid), 0, "tracer")
        t.equal(server.wait_exit(), 0, "exit status of the server")
        finish(t, process)


@case(gdbserver="leaves its breakpoint bytes in the program")
def client_vanishes_while_running(t):
    """--once, attached, running over a hot site, the connection drops: all is as before."""
    process, server, client = attached(t)
    client.send("vCont;c")
    goes_on(t, process)
    client.close()
    server.wait_exit()
    goes_on(t, process)
    clean(t, process.pid, process.words[0])
    finish(t, process)


@case(gdbserver="leaves its breakpoint bytes in the program")
def client_vanishes_at_a_stop(t):
    """The same while all threads are stopped, several of them at the site."""
    process, server, client = attached(t, rest="")
    t.check("swbreak" in client.resume(), "a hit")
    client.close()
    server.wait_exit()
    goes_on(t, process)
    clean(t, process.pid, process.words[0])
    finish(t, process)


@case(gdbserver="keeps its breakpoint bytes in the program that nobody debugs any more")
def reopened_without_breakpoints(t):
    """Without --once the server waits for the next client; meanwhile no breakpoint is in the text."""
    process, server, client = attached(t, once=False)
    client.send("vCont;c")
    goes_on(t, process)
    client.close()
    server.wait_port(2)
    t.wait_until(lambda: not procfs.text_differences(process.pid, process.words[0]),
                 "the text to be clean")
    second = RspClient(t, server, handshake=True)
    t.equal(second.query().kind, "T", "the next client finds it stopped")
    second.run_to("sum_step")
    second.ok("D")
    goes_on(t, process)
    clean(t, process.pid, process.words[0])
    finish(t, process)


@case(modes=BOTH, gdbserver="leaves its breakpoint bytes in the program")
def gdb_killed(t):
    """kill -9 to a real gdb in the middle of a run with breakpoints; the attached program lives."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 2 ")
    gdb = t.gdb("selfcheck 4", attach=process.pid)
    gdb.stop_all()
    gdb.breakpoint("sum_step", condition="sum == 0")
    gdb.resume()
    goes_on(t, process)
    gdb.vanish()
    gdb.server.wait_exit()
    goes_on(t, process)
    clean(t, process.pid, process.words[0])
    finish(t, process)


@case(modes=BOTH, gdbserver={ALL_STOP: "now and then lingers when the client dies during a run"})
def launched_dies_with_the_session(t):
    """--once, launched: when gdb is killed, server and program end."""
    gdb = t.gdb("selfcheck 3")
    gdb.cont_to("ready")
    pid = gdb.server.inferior()
    gdb.resume()
    gdb.vanish()
    gdb.server.wait_exit()
    t.wait_until(lambda: not procfs.alive(pid), "the program to be gone")


@case()
def disconnect_and_come_back(t):
    """disconnect, and a second gdb finds the same program, the same stop, and goes on."""
    server = t.server("selfcheck 3", once=False)
    gdb = t.gdb("selfcheck 3", server=server)
    gdb.cont_to("ready")
    gdb.stop_all()
    pc = gdb.pc()
    gdb.mi("-target-disconnect")
    gdb.quit()
    t.check(procfs.alive(server.inferior()), "the program is there")
    server.wait_port(2)
    again = t.gdb("selfcheck 3", server=server)
    again.stop_all()
    again.select(1)
    t.equal(again.pc(), pc, "pc")
    again.cont_to("sum_step")
    again.cli("kill")
    again.quit()
    server.wait_exit()


@case()
def stop_is_kept_for_the_next_client(t):
    """The same stop, with its signal, is reported to the next client."""
    server = t.server("signals crash", once=False)
    client = t.rsp(server, handshake=True)
    client.query()
    first = client.resume()
    t.equal(first.signal, 11, repr(first))
    client.close()
    server.wait_port(2)
    again = RspClient(t, server, handshake=True).query()
    t.equal((again.signal, again.pc, again.thread), (first.signal, first.pc, first.thread), "the stop")


@case()
def half_packets(t):
    """A client that leaves in the middle of a packet, one that says nothing, one that sends noise, and
    strangers who begin with that."""
    server = t.server("steps", once=False)
    for number, noise in enumerate((b"$m0,", b"", b"\x00\xff\x80garbage", b"$g#zz", b"+-+-$#", b"%%%")):
        client = RspClient(t, server, handshake=True)
        client.raw(noise)
        client.close()
        server.wait_port(number + 2)
        stranger = RspClient(t, server)
        stranger.raw(noise)
        stranger.close()
    client = RspClient(t, server, handshake=True)
    client.query()
    client.run_to("inner")
    t.equal(client.resume().status, 7, "exit code")


@case()
def multi_survives(t):
    """--multi without --once: client after client, each with a program of its own."""
    server = t.server(multi=True, once=False)
    path = t.program("ends")[0]
    for number in range(4):
        client = RspClient(t, server, handshake=True)
        client.ok("!")
        stop = client.ask("vRun;" + hexed(path) + ";" + hexed("exit") + ";" + hexed(str(number)))
        t.match(stop, "^T05", "stop reply")
        if number % 2:
            t.match(client.ask("vCont;c"), f"^W0?{number};", "the end")
        else:
            client.ok(f"vKill;{StopReply(stop).pid:x}")
        client.close()
        server.wait_port(number + 2)
    server.signal(signal.SIGTERM)
    server.wait_exit()


@case()
def sigterm_ends_the_server(t):
    """SIGTERM ends the server within a second, even in a session, and what it launched."""
    client = t.rsp(t.server("selfcheck 3"), handshake=True)
    client.query()
    pid = client.server.inferior()
    client.send("vCont;c")
    time.sleep(0.1)
    client.server.signal(signal.SIGTERM)
    client.server.wait_exit(5)
    t.wait_until(lambda: not procfs.alive(pid), "the program to be gone", 5)


@case(gdbserver="an attached program is left with breakpoint bytes and dies of them", timeout=90)
def ten_rounds_of_vanishing(t):
    """Attach, hot site, drop the connection at a random moment: ten times on one program."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 2 ")
    for number in range(10):
        server = t.server_of(process)
        client = t.rsp(server, handshake=True)
        client.query()
        client.insert(client.address("sum_step"), rest=NEVER if number % 2 else "")
        client.send("vCont;c")
        time.sleep((number * 37 % 50) / 1000)
        client.close()
        server.wait_exit()
        goes_on(t, process)
        clean(t, process.pid, process.words[0])
    finish(t, process)


@case()
def killed_server_port_is_free(t):
    """After kill -9 to the server its port can be listened on again at once."""
    client = t.rsp(t.server("selfcheck 2"), handshake=True)
    client.query()
    port = client.server.port
    client.server.kill()
    t.check(client.closed(), "the connection is closed")
    again = server_module.Process(t, [t.server_path, "--once", f"127.0.0.1:{port}",
                                      *t.program("steps")])
    again.wait_message(rf"^Listening on port {port}$")
    os.kill(again.pid, signal.SIGTERM)
