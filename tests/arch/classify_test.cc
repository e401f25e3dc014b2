#include "tests/arch/code.h"

namespace x86 {
namespace {

TEST_CASE("classify: every kind has its lane") {
  struct Row {
    std::string_view bytes;
    Lane lane;
  };
  const Row rows[] = {
      {"48 8b 05 00 00 00 00", Lane::boost},  // mov x(%rip), %rax
      {"f0 48 0f b1 0f", Lane::boost},        // lock cmpxchg
      {"f3 48 a5", Lane::boost},              // rep movsq
      {"64 48 8b 04 25 00 00 00 00", Lane::boost},
      {"9c", Lane::boost},  // pushf: slots run without TF
      {"5c", Lane::boost},  // pop %rsp
      {"90", Lane::emulate},
      {"eb 00", Lane::emulate},
      {"70 00", Lane::emulate},
      {"e2 00", Lane::emulate},
      {"f2 e1 00", Lane::trap},
      {"e8 00 00 00 00", Lane::emulate},
      {"ff d0", Lane::emulate},
      {"ff 10", Lane::emulate},
      {"ff e0", Lane::emulate},
      {"ff 20", Lane::boost},
      {"c3", Lane::emulate},
      {"54", Lane::emulate},
      {"48 8d 05 00 00 00 00", Lane::emulate},
      {"0f 05", Lane::trap},
      {"0f 34", Lane::boost},
      {"9d", Lane::trap},
      {"8e d0", Lane::trap},
      {"c7 f8 00 00 00 00", Lane::boost},
      {"dd 05 00 00 00 00", Lane::trap},
      {"cc", Lane::trap},
      {"0f 0b", Lane::trap},
  };
  for (const auto& row : rows) {
    INFO(row.bytes);
    const auto plan = classify(code(row.bytes), Mode::amd64);
    CHECK(name(plan.lane()) == name(row.lane));
    CHECK_FALSE(plan.reason.empty());
  }
}

TEST_CASE("classify: in place") {
  for (const auto* bytes : {"48 cf", "cb", "48 ff 28", "66 e9 00 00 00 00", "66 ff e0", "06",
                            "0f 24", "f0 89 c0", "62 00"}) {
    INFO(bytes);
    CHECK(name(classify(code(bytes), Mode::amd64).lane()) == "in place");
  }
  CHECK(name(classify(code("9a 00 00 00 00 33 00"), Mode::i386).lane()) == "in place");
}

TEST_CASE("classify: an instruction cut off by the end of a mapping") {
  CHECK(name(classify(code("48 8b 05 00 00"), Mode::amd64).lane()) == "in place");
  CHECK(name(classify({}, Mode::amd64).lane()) == "in place");
}

TEST_CASE("classify: the same bytes in 64-bit and i386 code") {
  const auto wide = classify(code("48 90"), Mode::amd64);
  const auto narrow = classify(code("48 90"), Mode::i386);  // dec %eax; nop
  CHECK(std::get<Emulate>(wide.how).instruction.length == 2);
  CHECK(std::get<Relocate>(narrow.how).instruction.length == 1);
  CHECK(name(narrow.lane()) == "boost");
}

}  // namespace
}  // namespace x86
