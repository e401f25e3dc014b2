#include "stub/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "tests/catch.h"

using namespace stub;

namespace {

std::string written_to_stderr(const std::function<void()>& action) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const int before = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  action();
  dup2(before, STDERR_FILENO);
  close(before);
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  return text;
}

}  // namespace

TEST_CASE("a line for the user is out when the call returns") {
  CHECK(written_to_stderr([] { say("Listening on port 1"); }) == "Listening on port 1\n");
}

TEST_CASE("text of a client in a line is no second line, and no command for the terminal") {
  CHECK(written_to_stderr([] { say("Cannot exec x\x1b[2J\nListening on port 1"); }) ==
        "Cannot exec x\\x1b[2J\\nListening on port 1\n");
  Log log;
  log.enable(LogTopic::remote, true);
  CHECK(written_to_stderr([&] { log.write(LogTopic::remote, "x\n[remote] y"); }) ==
        "[remote] x\\n[remote] y\n");
}

TEST_CASE("debug output is of the topics that were asked for") {
  Log log;
  CHECK_FALSE(log.enabled(LogTopic::threads));
  log.enable(LogTopic::threads, true);
  log.enable(LogTopic::remote, true);
  log.enable(LogTopic::threads, false);
  CHECK_FALSE(log.enabled(LogTopic::threads));
  CHECK(log.enabled(LogTopic::remote));
  log.set_topics(all_log_topics);
  CHECK(log.enabled(LogTopic::event_loop));
  CHECK(written_to_stderr([&] { log.write(LogTopic::remote, "$OK#9a"); }) == "[remote] $OK#9a\n");
}

TEST_CASE("debug output with timestamps, to a file") {
  char path[] = "/tmp/sidestep-log-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  close(fd);
  Log log;
  CHECK_FALSE(log.open_file("/no/such/directory/log"));
  REQUIRE(log.open_file(path));
  log.set_timestamps(true);
  CHECK(written_to_stderr([&] { log.write(LogTopic::event_loop, "x"); }).empty());
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  unlink(path);
  const auto space = text.find(' ');
  REQUIRE(space != std::string::npos);
  CHECK(text.substr(space) == " [event-loop] x\n");
  CHECK(text.substr(0, space).find_first_not_of("0123456789.") == std::string::npos);
}

TEST_CASE("a pipe that nobody reads is waited for once, and what it has not taken is counted") {
  using Clock = std::chrono::steady_clock;
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const int before = dup(STDERR_FILENO);
  const std::string much(1u << 20, 'x');
  dup2(ends[1], STDERR_FILENO);
  const auto start = Clock::now();
  write_text(STDERR_FILENO, much);
  const auto first = Clock::now() - start;
  for (int i = 0; i < 100; ++i) say("lost");
  const auto all = Clock::now() - start;
  std::string text(1u << 20, '\0');
  const auto got = static_cast<std::size_t>(read(ends[0], text.data(), text.size()));
  say("seen");
  const ssize_t last = read(ends[0], text.data(), text.size());
  dup2(before, STDERR_FILENO);
  close(before);
  close(ends[0]);
  close(ends[1]);
  // One second of patience, not one for each message.
  CHECK(first < std::chrono::seconds(50));
  CHECK(all - first < std::chrono::seconds(50));
  CHECK(text.substr(0, static_cast<std::size_t>(std::max<ssize_t>(last, 0))) ==
        "[" + std::to_string(much.size() - got + 100 * 5) + " bytes lost]\nseen\n");
}
