#include "stub/base/work.h"

#include <string>
#include <vector>

#include "tests/catch.h"

namespace stub {
namespace {

// Says when it is destroyed.
struct Witness {
  int* gone;
  explicit Witness(int& counter) : gone(&counter) {}
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;
  ~Witness() { ++*gone; }
};

Work<int> count_to(int n, int& gone) {
  const Witness witness(gone);
  for (int i = 0; i < n; ++i) co_await Pause{};
  co_return n;
}

// Waits for other work, which may be done without a pause.
Work<std::string> sum_of(std::vector<int> counts, int& gone) {
  int sum = 0;
  for (const int count : counts) {
    sum += co_await count_to(count, gone);
    co_await Pause{};
  }
  co_return std::to_string(sum);
}

Work<std::string> outermost(std::vector<int> counts, int& gone) {
  co_return "sum " + co_await sum_of(counts, gone);
}

template <class T>
int steps_of(Work<T> work) {
  int steps = 1;
  while (!work.step()) ++steps;
  return steps;
}

TEST_CASE("work: nothing is done before the first step, and a pause ends each") {
  int gone = 0;
  CHECK(steps_of(count_to(0, gone)) == 1);
  CHECK(steps_of(count_to(3, gone)) == 4);
  CHECK(gone == 2);
  { const auto never_begun = count_to(3, gone); }
  CHECK(gone == 2);
  CHECK(finish(count_to(7, gone)) == 7);
}

TEST_CASE("work that waits for other work: the pauses of all are its own") {
  int gone = 0;
  CHECK(steps_of(sum_of({0, 2, 1}, gone)) == 1 + 3 + 2 + 1);
  CHECK(steps_of(outermost({0, 2, 1}, gone)) == 7);
  CHECK(finish(outermost({0, 2, 1}, gone)) == "sum 3");
  CHECK(finish(outermost({}, gone)) == "sum 0");
  CHECK(gone == 9);
}

TEST_CASE("work that is dropped half-way lets go of what it has, at all depths") {
  int gone = 0;
  {
    auto work = outermost({5, 5}, gone);
    for (int i = 0; i < 3; ++i) CHECK_FALSE(work.step());
    auto moved = std::move(work);
    CHECK_FALSE(moved.step());
    CHECK(gone == 0);
  }
  CHECK(gone == 1);
}

}  // namespace
}  // namespace stub
