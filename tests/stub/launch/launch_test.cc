// Real processes: what launch() promises is between it and the kernel.
#include "stub/launch/launch.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "stub/kernel/linux_tracee.h"
#include "stub/kernel/wait_status.h"
#include "stub/launch/signal_state.h"
#include "tests/catch.h"
#include "tests/stub/kernel/fake_tracee.h"

using namespace stub;
using Words = std::vector<std::string>;

namespace {

std::string proc_file(Pid pid, const char* name) {
  std::ifstream file("/proc/" + std::to_string(raw(pid)) + "/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A launched process that is gone when the test is.
class Launched {
 public:
  explicit Launched(const LaunchSpec& spec) : result_(launch(spec, tracee_)) {}
  ~Launched() {
    if (!result_) return;
    ::kill(raw(*result_), SIGKILL);
    run_to_exit();
  }
  bool ok() const { return result_.has_value(); }
  std::string error() const { return result_ ? "" : result_.error().text; }
  Pid pid() const { return result_.value(); }
  Tid tid() const { return leader_of(pid()); }
  Tracee& tracee() { return tracee_; }

  // Exit code, or -signal.
  int run_to_exit() {
    (void)tracee_.resume(tid(), ResumeHow::run, 0);
    while (auto next = tracee_.wait_for(tid())) {
      const WaitStatus status = decode_wait_status(next->status);
      if (const auto* exited = std::get_if<Exited>(&status)) return exited->code;
      if (const auto* killed = std::get_if<Killed>(&status)) return -killed->signal;
      (void)tracee_.resume(tid(), ResumeHow::run, 0);
    }
    return -1000;
  }

 private:
  LinuxTracee tracee_;
  Result<Pid> result_;
};

LaunchSpec spec_for(Words program) {
  LaunchSpec spec;
  spec.program = std::move(program);
  spec.environment = Environment::of_this_process();
  return spec;
}

LaunchSpec direct(Words program) {
  LaunchSpec spec = spec_for(std::move(program));
  spec.startup_with_shell = false;
  return spec;
}

}  // namespace

TEST_CASE("a program stands in front of its first instruction") {
  for (bool shell : {true, false}) {
    LaunchSpec spec = spec_for({"/bin/true"});
    spec.startup_with_shell = shell;
    Launched program(spec);
    REQUIRE(program.ok());
    CHECK(std::filesystem::read_symlink("/proc/" + std::to_string(raw(program.pid())) + "/exe")
              .filename() == std::filesystem::canonical("/bin/true").filename());
    CHECK(getpgid(raw(program.pid())) == raw(program.pid()));

    // The first step executes an instruction: execve is over.
    const auto before = program.tracee().registers(program.tid());
    REQUIRE(before);
    REQUIRE(program.tracee().resume(program.tid(), ResumeHow::step, 0));
    REQUIRE(program.tracee().wait_for(program.tid()));
    const auto after = program.tracee().registers(program.tid());
    REQUIRE(after);
    CHECK(after->rip != before->rip);
    CHECK(program.run_to_exit() == 0);
  }
}

TEST_CASE("arguments arrive as they are, through the shell too") {
  const Words words = {"/bin/echo", "*", "a b", "$HOME", "it's", "", "\\n", "`x`", "-n;"};
  std::string expected;
  for (const std::string& word : words) expected += word + '\0';
  for (bool shell : {true, false}) {
    LaunchSpec spec = spec_for(words);
    spec.startup_with_shell = shell;
    Launched program(spec);
    REQUIRE(program.ok());
    CHECK(proc_file(program.pid(), "cmdline") == expected);
  }
}

TEST_CASE("environment, directory and address space are what was asked for") {
  LaunchSpec spec = direct({"/bin/true"});
  spec.environment = Environment({"A=1", "LONGER=x"});
  spec.environment.set("A", "2=3");
  spec.environment.unset("LONG");
  spec.working_directory = "/usr";
  Launched program(spec);
  REQUIRE(program.ok());
  CHECK(proc_file(program.pid(), "environ") ==
        std::string("LONGER=x\0A=2=3\0", sizeof "LONGER=x\0A=2=3\0" - 1));
  CHECK(std::filesystem::read_symlink("/proc/" + std::to_string(raw(program.pid())) + "/cwd") ==
        "/usr");
  CHECK(proc_file(program.pid(), "personality") == "00040000\n");

  spec.disable_randomization = false;
  Launched randomized(spec);
  REQUIRE(randomized.ok());
  CHECK(proc_file(randomized.pid(), "personality") == "00000000\n");
}

TEST_CASE("PATH is searched when the name has no slash") {
  LaunchSpec spec = direct({"true"});
  Launched program(spec);
  REQUIRE(program.ok());
  CHECK(program.run_to_exit() == 0);
}

TEST_CASE("a wrapper is gone through, whatever it does on its way") {
  struct Row {
    const char* what;
    Words wrapper;
  };
  const Row rows[] = {
      {"one exec", {"env", "WRAPPED=yes"}},
      {"children of its own",
       {"/bin/sh", "-c", "sleep 0; (exit 3); WRAPPED=yes exec \"$@\"", "sh"}},
      {"signals of its own",
       {"/bin/sh", "-c", "trap : USR1; kill -USR1 $$; WRAPPED=yes exec \"$@\"", "sh"}},
  };
  for (const Row& row : rows) {
    for (bool shell : {true, false}) {
      INFO(row.what << (shell ? ", with shell" : ", without"));
      LaunchSpec spec = spec_for({"/bin/true"});
      spec.startup_with_shell = shell;
      spec.wrapper = row.wrapper;
      Launched program(spec);
      REQUIRE(program.error() == "");
      CHECK(proc_file(program.pid(), "cmdline") == std::string("/bin/true\0", 10));
      CHECK(proc_file(program.pid(), "environ").find("WRAPPED=yes") != std::string::npos);
      CHECK(program.run_to_exit() == 0);
    }
  }
}

TEST_CASE("what never comes to run is told in gdbserver's words, or with its reason") {
  struct Row {
    const char* what;
    LaunchSpec spec;
    const char* text;
  };
  LaunchSpec silent_wrapper = spec_for({"/bin/true"});
  silent_wrapper.wrapper = {"false"};
  LaunchSpec well_meaning = spec_for({"/bin/true"});
  well_meaning.wrapper = {"true"};
  LaunchSpec dying = spec_for({"/bin/true"});
  dying.wrapper = {"/bin/sh", "-c", "kill -SEGV $$", "sh"};
  LaunchSpec nowhere = direct({"/bin/true"});
  nowhere.working_directory = "/no/such/directory";
  const auto say_why = [](LaunchSpec spec) {
    spec.say_why = true;
    return spec;
  };
  LaunchSpec in_a_file = direct({"/bin/true"});
  in_a_file.working_directory = "/etc/passwd";
  LaunchSpec no_input = spec_for({"/bin/true"});
  no_input.streams[0] = "/no/such/file";
  LaunchSpec no_output = direct({"/bin/true"});
  no_output.streams[1] = "/no/such/directory/file";
  LaunchSpec no_errors = direct({"/bin/true"});
  no_errors.streams[2] = "/";
  const Row rows[] = {
      {"absent", spec_for({"/no/such/program"}), "During startup program exited with code 127."},
      {"absent, direct", direct({"/no/such/program"}),
       "During startup program exited with code 127."},
      {"absent, direct, why", say_why(direct({"/no/such/program"})),
       "Cannot exec /no/such/program: No such file or directory"},
      {"absent, why, which the shell knows", say_why(spec_for({"/no/such/program"})),
       "During startup program exited with code 127."},
      {"not executable", spec_for({"/etc/passwd"}), "During startup program exited with code 126."},
      {"not executable, direct", direct({"/etc/passwd"}),
       "During startup program exited with code 127."},
      {"not executable, direct, why", say_why(direct({"/etc/passwd"})),
       "Cannot exec /etc/passwd: Permission denied"},
      {"wrapper fails", silent_wrapper, "During startup program exited with code 1."},
      {"wrapper ends well", well_meaning, "During startup program exited normally."},
      {"wrapper dies", dying,
       "During startup program terminated with signal SIGSEGV, Segmentation fault."},
      {"no directory", nowhere, "During startup program exited with code 127."},
      {"no directory, why", say_why(nowhere),
       "Cannot change to directory /no/such/directory: No such file or directory"},
      {"a directory that is a file", say_why(in_a_file),
       "Cannot change to directory /etc/passwd: Not a directory"},
      {"stdin", say_why(no_input), "Cannot open /no/such/file: No such file or directory"},
      {"stdout", say_why(no_output),
       "Cannot open /no/such/directory/file: No such file or directory"},
      {"stderr", no_errors, "During startup program exited with code 127."},
      {"stderr, why", say_why(no_errors), "Cannot open /: Is a directory"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Launched program(row.spec);
    CHECK_FALSE(program.ok());
    CHECK(program.error() == row.text);
  }
  // Nothing is left behind.
  CHECK(waitpid(-1, nullptr, __WALL | WNOHANG) == -1);
}

TEST_CASE("the daemon's own signal settings are not inherited") {
  (void)initial_signal_state();
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &before);
  sigset_t blocked, mask_before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  sigprocmask(SIG_BLOCK, &blocked, &mask_before);
  const bool was_ignored = before.sa_handler == SIG_IGN;
  {
    Launched program(direct({"/bin/true"}));
    REQUIRE(program.ok());
    const std::string status = proc_file(program.pid(), "status");
    const auto mask = [&](const char* name) {
      return std::stoull(status.substr(status.find(name) + 7), nullptr, 16);
    };
    CHECK((mask("SigIgn:") >> (SIGPIPE - 1) & 1) == (was_ignored ? 1u : 0u));
    CHECK((mask("SigBlk:") >> (SIGCHLD - 1) & 1) == 0u);
  }
  sigprocmask(SIG_SETMASK, &mask_before, nullptr);
  sigaction(SIGPIPE, &before, nullptr);
}

TEST_CASE("a client on stdin and stdout keeps them for itself") {
  LaunchSpec spec = direct({"/bin/true"});
  spec.redirect_stdio = true;
  Launched program(spec);
  REQUIRE(program.ok());
  const std::string fds = "/proc/" + std::to_string(raw(program.pid())) + "/fd/";
  CHECK(std::filesystem::read_symlink(fds + "0") == "/dev/null");
  CHECK(std::filesystem::read_symlink(fds + "1") == std::filesystem::read_symlink(fds + "2"));
}

TEST_CASE("no descriptor of the daemon's reaches the program") {
  const auto descriptors = [](const std::string& process) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + process + "/fd"))
      names.insert(entry.path().filename());
    return names;
  };
  const auto ours = descriptors("self");  // one more than there are: the directory itself
  Launched program(spec_for({"/bin/true"}));
  REQUIRE(program.ok());
  const auto theirs = descriptors(std::to_string(raw(program.pid())));
  CHECK(theirs.size() < ours.size());
  for (const std::string& name : theirs) CHECK(ours.contains(name));
}

TEST_CASE("words for the shell") {
  CHECK(shell_command({"/bin/a-b_c.d", "x=1"}) == "/bin/a-b_c.d 'x=1'");
  CHECK(shell_command({"a b", "", "it's"}) == "'a b' '' 'it'\\''s'");
}

TEST_CASE("launch: a program that never comes to run does not keep us when we are to end") {
  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, &before);
  const pid_t killer = fork();
  if (killer == 0) {
    usleep(300'000);
    kill(getppid(), SIGTERM);
    _exit(0);
  }
  LaunchSpec spec;
  spec.program = {"/bin/true"};
  spec.wrapper = {"tail", "-n", "0", "-f", "/dev/null"};
  spec.environment = Environment::of_this_process();
  const Launched launched(spec);
  const timespec none{};
  const int signal = sigtimedwait(&set, nullptr, &none);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  waitpid(killer, nullptr, 0);
  CHECK(signal == SIGTERM);
  CHECK(launched.error() == "The server is about to end");
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);  // no child is left
}

namespace {

class DiesInSeize final : public FakeTracee {
 public:
  Result<void> seize(Tid, Lifetime) override { _exit(0); }
};

}  // namespace

TEST_CASE("launch: a program does not run when the daemon has died before it was traced") {
  const std::string mark = "/tmp/sidestep-launch-" + std::to_string(getpid());
  int ends[2];
  REQUIRE(pipe(ends) == 0);  // not closed by exec: at its end the program, too, is gone
  if (const pid_t daemon = fork(); daemon == 0) {
    DiesInSeize tracee;
    LaunchSpec spec;
    spec.program = {"/usr/bin/touch", mark};
    spec.environment = Environment::of_this_process();
    (void)launch(spec, tracee);
    _exit(0);
  } else {
    waitpid(daemon, nullptr, 0);
  }
  close(ends[1]);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 0);
  close(ends[0]);
  CHECK_FALSE(std::filesystem::exists(mark));
  std::filesystem::remove(mark);
}
