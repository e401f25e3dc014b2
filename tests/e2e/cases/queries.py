"""Questions at moments when there is little to answer."""

import re

from harness import case, hexed

NOT_THERE = "asserts, or forgets the connection's settings"


@case()
def thread_handles(t):
    """qXfer:threads gives each thread's pthread_t, which is its thread pointer; none before libc knows it."""
    client = t.rsp(t.server("hits 3 5"), handshake=True)
    client.query()
    t.check("handle=" not in client.ask("qXfer:threads:read::0,4000"), "a handle before libc is there")
    client.run_to("alpha")
    text = client.ask("qXfer:threads:read::0,4000")
    found = dict(re.findall(r'<thread id="([^"]+)"[^>]* handle="([0-9a-f]+)"', text))
    t.equal(len(found), 4, "threads with a handle")
    for thread, handle in found.items():
        client.ok(f"Hg{thread}")
        t.equal(client.ask("p3a"), handle, f"fs_base of {thread}")  # 0x3a: fs_base in target.xml


@case(gdbserver=NOT_THERE)
def no_process(t):
    """--multi without a program: documents, registers, memory, resuming; each one answer, no harm done."""
    client = t.rsp(t.server(multi=True), handshake=True)
    client.ok("!")
    for packet in ("qXfer:features:read:target.xml:0,fff", "qXfer:auxv:read::0,fff", "g", "m0,4",
                   "vCont;c", "vCont;c:p0.0", "vCont;s:p1.1", "qC", "qXfer:siginfo:read::0,80",
                   "Z0,1000,1", "_M1000,rw", "qCRC:0,4", "D"):
        t.match(client.ask(packet), "^E01", packet)
    t.equal(client.ask("?"), "W00", "?")
    t.equal(client.ask("qXfer:threads:read::0,fff"), "l<threads>\n</threads>\n", "threads")
    t.match(client.ask("vRun;" + hexed(t.program("steps")[0])), "^T05", "a program all the same")


@case(gdbserver=NOT_THERE)
def dead_process_non_stop(t):
    """Non-stop: resuming the last process when it is gone is an error, and the next program runs."""
    client = t.rsp(t.server(multi=True), handshake=True)
    client.ok("!")
    client.ok("QNonStop:1")
    for _ in range(2):
        stop = client.ask("vRun;" + hexed(t.program("ends")[0]) + ";" + hexed("exit") + ";" + hexed("3"))
        t.match(stop, "^T05", "the first stop")
        client.ok("vCont;c")
        t.match(client.notification(), "^Stop:W0?3;", "the end")
        client.ok("vStopped")
        for packet in ("vCont;c", "vCont;s:p1.1", "vCont;r1000,2000"):
            t.match(client.ask(packet), "^E01", packet)
        client.ok("vCont;t")  # all are
        t.equal(client.ask("?"), "OK", "nothing is stopped")
