// Runs a fuzz target without a fuzzer: replays a corpus and then random mutations of it. This finds
// far less than a fuzzer guided by coverage (README.md), but it needs nothing besides the compiler
// and takes a bounded time, so that it can be a test.
//
//   TARGET [-runs=N] [-seed=N] [-max_len=N] FILE_OR_DIRECTORY...
//
// The options are those of libFuzzer, N in decimal. An input that crashes the target, or keeps it
// for more than 10 seconds, is written to crash-input in the working directory.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;
using Input = std::vector<std::uint8_t>;

constexpr unsigned seconds_per_run = 10;

const Input* current = nullptr;

// Async-signal-safe; also called by the sanitizers before they end the process.
void save_current_input() {
  if (current == nullptr) return;
  const int fd = ::open("crash-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (::write(fd, current->data(), current->size()) < 0) return;
  constexpr std::string_view message = "input written to crash-input\n";
  if (::write(STDERR_FILENO, message.data(), message.size()) < 0) return;
}

void on_signal(int number) {
  save_current_input();
  ::signal(number, SIG_DFL);
  ::raise(number);
}

void run(const Input& input) {
  current = &input;
  ::alarm(seconds_per_run);
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

// ---- mutations ---------------------------------------------------------------------------------

constexpr std::uint8_t interesting[] = {0x00, 0x01, 0x03, 0x7d, 0x7f, 0x80, 0xfe, 0xff,
                                        '#',  '$',  '*',  ',',  ':',  ';',  '-',  '0'};

void change_byte(Input& input, fuzz::Random& random) {
  if (input.empty()) return;
  std::uint8_t& byte = input[random.below(input.size())];
  switch (random.below(3)) {
    case 0:
      byte ^= 1u << random.below(8);
      break;
    case 1:
      byte = interesting[random.below(std::size(interesting))];
      break;
    case 2:
      byte = static_cast<std::uint8_t>(random.next());
      break;
  }
}

void insert_byte(Input& input, fuzz::Random& random) {
  const auto at = input.begin() + random.below(input.size() + 1);
  input.insert(at, interesting[random.below(std::size(interesting))]);
}

void erase_piece(Input& input, fuzz::Random& random) {
  if (input.empty()) return;
  const auto from = input.begin() + random.below(input.size());
  input.erase(from, from + std::min<std::size_t>(1 + random.below(8), input.end() - from));
}

// A piece of `other` over or into the input.
void splice(Input& input, const Input& other, fuzz::Random& random) {
  if (other.empty()) return;
  const std::size_t from = random.below(other.size());
  const std::size_t size = 1 + random.below(other.size() - from);
  const std::size_t at = random.below(input.size() + 1);
  if (random.below(2) == 0) input.resize(std::max(at, input.size() - std::min(size, input.size())));
  input.insert(input.begin() + at, other.begin() + from, other.begin() + from + size);
}

Input mutated(const std::vector<Input>& corpus, std::size_t max_size, fuzz::Random& random) {
  Input input = corpus[random.below(corpus.size())];
  for (std::size_t n = 1 + random.below(6); n > 0; --n) {
    switch (random.below(5)) {
      case 0:
      case 1:
        change_byte(input, random);
        break;
      case 2:
        insert_byte(input, random);
        break;
      case 3:
        erase_piece(input, random);
        break;
      case 4:
        splice(input, corpus[random.below(corpus.size())], random);
        break;
    }
  }
  input.resize(std::min(input.size(), max_size));
  return input;
}

// ---- command line ------------------------------------------------------------------------------

bool take_option(std::string_view argument, std::string_view name, std::uint64_t& value) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  auto [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), value);
  return error == std::errc() && end == argument.data() + argument.size();
}

Input read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void add_inputs(const fs::path& path, std::vector<Input>& corpus) {
  if (!fs::is_directory(path)) {
    corpus.push_back(read(path));
    return;
  }
  std::vector<fs::path> files(fs::directory_iterator(path), fs::directory_iterator{});
  std::ranges::sort(files);
  for (const fs::path& file : files) corpus.push_back(read(file));
}

}  // namespace

extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

int main(int argc, char** argv) {
  std::uint64_t runs = 0, seed = 1, max_size = 4096;
  std::vector<Input> corpus;
  for (std::string_view argument : std::span(argv + 1, argc - 1)) {
    if (take_option(argument, "-runs=", runs) || take_option(argument, "-seed=", seed) ||
        take_option(argument, "-max_len=", max_size)) {
      continue;
    }
    if (!fs::exists(argument)) {
      std::fprintf(stderr, "no such option or file: %s\n", argument.data());
      return 2;
    }
    add_inputs(argument, corpus);
  }
  for (int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) {
    ::signal(number, on_signal);
  }
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(save_current_input);
  for (const Input& input : corpus) run(input);
  if (corpus.empty()) corpus.emplace_back();
  fuzz::Random random(seed);
  for (std::uint64_t n = 0; n < runs; ++n) run(mutated(corpus, max_size, random));
  std::printf("%zu corpus files and %llu mutations\n", corpus.size(),
              static_cast<unsigned long long>(runs));
}
