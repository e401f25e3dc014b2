#include "stub/inferior/site_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "arch/register_table.h"
#include "stub/base/number.h"

namespace stub {
namespace {

tl::unexpected<Error> wrong(std::string_view term, std::string_view why) {
  return fail(Errc::malformed, fmt::format("{}: {}", term, why));
}

constexpr std::pair<std::string_view, TextTest::Relation> relations[] = {
    {"==", TextTest::Relation::equal},
    {"!=", TextTest::Relation::unequal},
    {"^=", TextTest::Relation::begins},
    {"~=", TextTest::Relation::contains},
};

constexpr std::pair<std::string_view, std::uint64_t> periods[] = {
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"min", 60'000'000'000}};

// The program's string at `address`, up to its NUL, a page that cannot be read, or the limit. False
// when not even its first byte can be read.
bool read_text(rsp::AgentMemory& memory, std::uint64_t address, std::size_t limit,
               std::span<char> buffer, std::string_view& text) {
  constexpr std::uint64_t piece = 64;  // never reaches over the end of a page
  std::size_t size = 0;
  while (size < limit) {
    const std::size_t wanted =
        std::min<std::uint64_t>(piece - (address + size) % piece, limit - size);
    if (!memory.read(address + size, std::as_writable_bytes(buffer.subspan(size, wanted)))) break;
    const auto end = std::find(buffer.begin() + static_cast<std::ptrdiff_t>(size),
                               buffer.begin() + static_cast<std::ptrdiff_t>(size + wanted), '\0');
    const auto length = static_cast<std::size_t>(end - buffer.begin());
    text = std::string_view(buffer.data(), length);
    if (length < size + wanted) return true;
    size += wanted;
  }
  text = std::string_view(buffer.data(), size);
  return size != 0;
}

bool holds(const TextTest& test, std::string_view text) {
  switch (test.relation) {
    case TextTest::Relation::equal:
      return text == test.text;
    case TextTest::Relation::unequal:
      return text != test.text;
    case TextTest::Relation::begins:
      return text.starts_with(test.text);
    case TextTest::Relation::contains:
      return text.find(test.text) != text.npos;
  }
  return false;
}

}  // namespace

// ---- the user's text ---------------------------------------------------------------------------

class SiteFilter::Parser {
 public:
  Parser(SiteFilter& filter, const x86::RegisterSet& registers)
      : filter_(filter), registers_(registers) {}

  Result<void> term(std::string_view term) {
    const auto key =
        std::ranges::find_if(keys, [&](std::string_view each) { return term.starts_with(each); });
    if (key == keys.end()) return text_test(term);
    if (!seen_.insert(*key).second) return wrong(term, fmt::format("`{}' is there twice", *key));
    const std::string_view value = term.substr(key->size());
    if (*key == "thread=") return threads(term, value);
    if (*key == "after=") return count(term, value, 0, filter_.after_);
    if (*key == "every=") return count(term, value, 1, filter_.every_);
    return rate(term, value);
  }

 private:
  static constexpr std::array<std::string_view, 4> keys{"thread=", "after=", "every=", "rate="};

  Result<void> threads(std::string_view term, std::string_view value) {
    while (!value.empty()) {
      const std::string_view one = value.substr(0, value.find(','));
      value.remove_prefix(std::min(value.size(), one.size() + 1));
      const auto tid = decimal_or_hex(one);
      if (!tid || *tid == 0 || *tid > 0x7fffffff)
        return wrong(term, "thread ids are wanted, as `info threads` shows them behind LWP");
      filter_.threads_.push_back(Tid{static_cast<pid_t>(*tid)});
    }
    if (filter_.threads_.empty()) return wrong(term, "a thread id is missing");
    return {};
  }

  Result<void> count(std::string_view term, std::string_view value, std::uint64_t least,
                     std::uint64_t& into) {
    const auto given = decimal_or_hex(value);
    if (!given || *given < least) return wrong(term, "a number of hits is wanted");
    into = *given;
    return {};
  }

  Result<void> rate(std::string_view term, std::string_view value) {
    const std::size_t slash = std::min(value.find('/'), value.size());
    const auto most = decimal_or_hex(value.substr(0, slash));
    const auto unit = value.substr(std::min(slash + 1, value.size()));
    const auto period =
        std::ranges::find(periods, unit, &std::pair<std::string_view, std::uint64_t>::first);
    if (!most || *most == 0 || period == std::end(periods))
      return wrong(term, "N/s is wanted (or N/ms, N/min)");
    filter_.rate_ = {*most, period->second};
    return {};
  }

  // LOCATION RELATION "TEXT"
  Result<void> text_test(std::string_view term) {
    const std::size_t quote = term.find('"');
    if (quote == term.npos || quote < 2 || term.back() != '"' || quote + 1 == term.size())
      return wrong(term, "not understood; see monitor help");
    const auto relation =
        std::ranges::find(relations, term.substr(quote - 2, 2),
                          &std::pair<std::string_view, TextTest::Relation>::first);
    if (relation == std::end(relations)) return wrong(term, "==, !=, ^= or ~= is wanted");
    TextTest test{.at = {}, .relation = relation->second, .text = {}};
    test.text = term.substr(quote + 1, term.size() - quote - 2);
    if (test.text.size() > longest_test_text) return wrong(term, "the text is too long");
    if (!location(term.substr(0, quote - 2), test.at))
      return wrong(term, "a place is wanted: $REGISTER or a number, +N or -N, * for a pointer");
    filter_.tests_.push_back(std::move(test));
    return {};
  }

  bool location(std::string_view text, TextLocation& at) {
    constexpr unsigned most_indirections = 8;
    for (; text.starts_with('*'); text.remove_prefix(1))
      if (++at.indirections > most_indirections) return false;
    const std::size_t sign = std::min(text.find_first_of("+-"), text.size());
    const std::string_view base = text.substr(0, sign);
    if (base.starts_with('$')) {
      const x86::Register* reg = registers_.find(base.substr(1));
      if (reg == nullptr || x86::needs_xstate(*reg)) return false;
      at.reg = reg->number;
    } else if (const auto address = decimal_or_hex(base)) {
      at.offset = *address;
    } else {
      return false;
    }
    if (sign == text.size()) return true;
    const auto distance = decimal_or_hex(text.substr(sign + 1));
    if (!distance) return false;
    at.offset += text[sign] == '+' ? *distance : -*distance;
    return true;
  }

  SiteFilter& filter_;
  const x86::RegisterSet& registers_;
  std::set<std::string_view> seen_;  // of `keys`
};

namespace {

// Blanks separate terms, but not inside quotes.
std::string_view take_term(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size() && (quoted || text[end] != ' '); ++end)
    if (text[end] == '"') quoted = !quoted;
  const std::string_view term = text.substr(0, end);
  text.remove_prefix(end);
  return term;
}

}  // namespace

Result<SiteFilter> SiteFilter::parse(std::string_view terms, x86::Mode mode) {
  if (terms.size() > longest_terms)
    return fail(Errc::malformed,
                fmt::format("A condition has {} characters at most.", longest_terms));
  SiteFilter filter;
  filter.text_ = terms;
  filter.pointer_size_ = mode == x86::Mode::amd64 ? 8 : 4;
  Parser parser(filter, x86::RegisterSet::get(mode));
  while (true) {
    const std::string_view term = take_term(terms);
    if (term.empty()) return filter;
    if (auto understood = parser.term(term); !understood) return tl::unexpected(understood.error());
  }
}

// ---- at a hit ----------------------------------------------------------------------------------

Result<bool> SiteFilter::lets_through(Tid tid, rsp::AgentRegisters& registers,
                                      rsp::AgentMemory& memory, std::uint64_t now_ns) {
  ++asked_;
  if (!threads_.empty() && std::ranges::find(threads_, tid) == threads_.end()) return false;
  const auto texts = texts_hold(registers, memory);
  if (!texts || !*texts) return texts;
  if (!is_due(now_ns)) return false;
  ++let_through_;
  return true;
}

Result<bool> SiteFilter::texts_hold(rsp::AgentRegisters& registers,
                                    rsp::AgentMemory& memory) const {
  std::array<char, longest_tested_text> buffer;
  for (const TextTest& test : tests_) {
    std::uint64_t address = test.at.offset;
    if (test.at.reg) {
      const auto value = registers.read(*test.at.reg);
      if (!value) return tl::unexpected(value.error());
      address += *value;
    }
    for (unsigned i = 0; i < test.at.indirections; ++i) {
      std::uint64_t pointer = 0;
      if (!memory.read(address,
                       std::as_writable_bytes(std::span(&pointer, 1)).first(pointer_size_)))
        return fail(Errc::bad_address, "Cannot read a pointer");
      address = pointer;
    }
    std::string_view text;
    const bool all = test.relation == TextTest::Relation::contains;
    const std::size_t limit = all ? longest_tested_text : test.text.size() + 1;
    if (!read_text(memory, address, limit, buffer, text))
      return fail(Errc::bad_address, "Cannot read a string");
    if (!holds(test, text)) return false;
  }
  return true;
}

// `after` and `every` count the hits for which all else holds; what is over the rate counts too.
bool SiteFilter::is_due(std::uint64_t now_ns) {
  const std::uint64_t count = ++counted_;
  if (count <= after_ || (count - after_) % every_ != 0) return false;
  if (rate_.most == 0) return true;
  if (in_period_ == 0 || now_ns - period_began_ns_ >= rate_.period_ns) {
    period_began_ns_ = now_ns;
    in_period_ = 0;
  }
  return ++in_period_ <= rate_.most;
}

}  // namespace stub
