"""System calls that fail: each one of a whole session, one at a time, and the program is as before."""

import errno
import os
import signal
import time

from harness import NEVER, Disconnected, Failure, RspClient, case, procfs

ERRORS = [*(str(number) for number in
            (errno.EIO, errno.EPERM, errno.EFAULT, errno.ENOMEM, errno.EINTR)), "short"]
# Some of the calls with one error each; all of them with all errors on request.
ALL = "SIDESTEP_LONG" in os.environ


class Run:
    """A session with one call that fails, and the program it is about."""

    def __init__(self, t, process, number, error, leaving):
        self.t, self.process = t, process
        self.armed = os.path.join(t.directory, "armed")
        if not leaving:
            self.arm()
        environment = {"LD_PRELOAD": os.path.join(t.programs, "libfault_shim.so"),
                       "FAULT_AT": str(number), "FAULT_ERRNO": error, "FAULT_ARMED": self.armed,
                       "ASAN_OPTIONS": "verify_asan_link_order=0"}
        self.server = t.spawn_server(["--once", "--attach", "127.0.0.1:0", str(process.pid)],
                                     env=environment)

    def arm(self):
        with open(self.armed, "w", encoding="utf-8"):
            pass

    def play(self):
        """Every request has its reply, whatever it is; whether the session could take place."""
        t, server = self.t, self.server
        t.wait_until(lambda: "Listening" in server.messages() or not server.running(), "the server")
        if not server.running():
            t.match(server.messages(), "Cannot attach|Exiting", "why there is no session")
            return
        server.port = int(server.wait_message(r"^Listening on port (\d+)")[1])
        server.program = self.process.words
        server.inferior = lambda: self.process.pid
        client = RspClient(t, server, handshake=True)
        self.converse(client)
        client.close()
        self.t.equal(server.wait_exit(), 0, "exit status of the server")

    def converse(self, client):
        at = client.address("sum_step")
        for packet in ("?", "g", "p10", "qfThreadInfo", "qXfer:libraries-svr4:read::0,fff",
                       f"m{at:x},40", f"Z0,{at:x},1", f"Z2,{client.address('wrong'):x},8"):
            client.ask(packet)
        for packet in ("vCont;c", "vCont;s", "g"):
            client.ask(packet)
        client.ask(f"Z0,{at:x},1{NEVER}")
        for offset in (1, 4, 8):  # slots, whatever the compiler makes of it
            client.ask(f"Z0,{at + offset:x},1{NEVER}")
        client.send("vCont;c")
        time.sleep(0.005)
        self.arm()
        client.raw(b"\x03")
        client.receive()
        for packet in (f"M{client.address('wrong'):x},8:0000000000000000", f"z0,{at:x},1", "D"):
            client.ask(packet)

    def check(self):
        self.t.equal(procfs.tracer(self.process.pid), 0, "tracer")
        self.t.unharmed(self.process)


def play_all(t, leaving, stride, fewest):
    stride = 1 if ALL else stride
    process = t.spawn("selfcheck 2")
    process.wait_output("beat 1 ")
    runs, reached, number = 0, 0, 0
    while number <= reached + stride:  # how many calls there are varies a little
        for error in ERRORS if ALL else [ERRORS[number // stride % len(ERRORS)]]:
            run = Run(t, process, number, error, leaving)
            try:
                run.play()
                run.check()
            except (Failure, Disconnected) as problem:
                raise Failure(f"call {number}, error {error}: {problem}; {run.server.messages()}") from problem
            if "fault:" in run.server.messages():
                reached = number
            os.unlink(run.armed)
            t.clients.clear()
            runs += 1
        number += stride
        t.logs.clear()
    t.note(f"{runs} runs, {reached} calls")
    t.check(reached >= fewest, lambda: f"{reached} calls have failed, there must be {fewest}")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    t.match(process.output(), r"^done rounds=\d+ wrong=0 ", "the program's last line")


@case(timeout=600, gdbserver="takes a call that failed for the truth")
def every_call_fails_once(t):
    """Attach, hits, steps, a watchpoint: a call fails, replies come, the program lives."""
    play_all(t, leaving=False, stride=23, fewest=100)


@case(timeout=600, gdbserver="takes a call that failed for the truth")
def every_call_of_the_end_fails_once(t):
    """The same from Ctrl-C to detach."""
    play_all(t, leaving=True, stride=5, fewest=30)
