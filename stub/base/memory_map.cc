// Finding room for code near the program's own code.
//
// The problem. An SSOL area has to lie within reach of a 32-bit displacement, both of the text it
// serves and of the data that text refers to, and it should lie where the program never notices it.
// The address is taken with MAP_FIXED_NOREPLACE, so nothing can be overwritten; what can be hurt is
// growth. The kernel's layout (arch/x86/mm/mmap.c, mm/mmap.c, fs/binfmt_elf.c) says what grows
// where:
//
//   - the heap upwards from the end of the program's data. Before its first brk(2) it is not in the
//     list at all, and with randomisation it starts up to 1 GiB above the program (32 MiB in i386);
//   - the main stack downwards, into at least 128 MiB which mmap(2) leaves free for it;
//   - mmap(2) itself takes the *highest* gap that is large enough, so any gap between libraries is
//     asked for sooner or later, and the space right below the lowest library is what comes next;
//   - mremap(2) extends a mapping upwards in place.
//
// So the space *below* the text is the best one: under a program nobody allocates until everything
// above is full, and under the libraries mmap(2) arrives late if the area keeps some distance. The
// largest gap is taken because mmap(2) gets to it last. Only when there is none below, above; only
// when there is none with comfortable distances, with tight ones. Growth of stack and heap is kept
// free in each of these passes.
//
// Alternatives. Asking the kernel with a hint address gives a place next to a mapping of the
// program, the least suitable one. Parsing symbols or AT_ENTRY to find "the program" adds inputs
// and decides nothing that the order above does not.
#include "stub/base/memory_map.h"

#include <algorithm>
#include <array>
#include <vector>

namespace stub {
namespace {

constexpr std::uint64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;

// First address that is not the program's (TASK_SIZE, arch/x86/include/asm/page_types.h). The i386
// value is that of a 64-bit kernel; a 32-bit one ends earlier, and its mappings then fail cleanly.
constexpr std::uint64_t user_end(x86::Mode mode) {
  return mode == x86::Mode::amd64 ? 0x7fff'ffff'f000 : 0xffff'e000;
}

enum class Side { below, above };

// One attempt: how far from the text the whole area may be, and what is kept free next to others.
struct Pass {
  Side side;
  std::uint64_t reach;        // between the text and the far end of the area
  std::uint64_t beside;       // next to any mapping
  std::uint64_t above_heap;   // room for brk
  std::uint64_t below_stack;  // room for the main stack
};

// Half of the 2 GiB is left for the data that relocated instructions refer to, at first.
constexpr std::array<Pass, 4> passes64{{
    {Side::below, 1 * gib, 1 * mib, 1 * gib, 1 * gib},
    {Side::above, 3 * gib / 2, 1 * mib, 1 * gib, 1 * gib},
    {Side::below, 2 * gib - 64 * mib, page_size, 128 * mib, 128 * mib},
    {Side::above, 2 * gib - 64 * mib, page_size, 128 * mib, 128 * mib},
}};
// In 32 bits displacements wrap: everything reaches everything.
constexpr std::array<Pass, 4> passes32{{
    {Side::below, 4 * gib, 1 * mib, 256 * mib, 128 * mib},
    {Side::above, 4 * gib, 1 * mib, 256 * mib, 128 * mib},
    {Side::below, 4 * gib, page_size, 32 * mib, 128 * mib},
    {Side::above, 4 * gib, page_size, 32 * mib, 128 * mib},
}};

// How far below its upper neighbour the area goes, where the gap has that much room.
constexpr std::uint64_t distance = 512 * mib;

struct Range {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t size() const { return end > start ? end - start : 0; }
};

std::uint64_t add(std::uint64_t a, std::uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }
std::uint64_t subtract(std::uint64_t a, std::uint64_t b) { return a < b ? 0 : a - b; }

bool is_heap(const Mapping& m) { return m.path == "[heap]"; }
bool is_stack(const Mapping& m) { return m.path == "[stack]"; }

// The addresses an area may cover in this pass, on the wanted side of the text.
Range window(const Pass& pass, Address text, x86::Mode mode, Address lowest) {
  const std::uint64_t at = text.value();
  Range r = pass.side == Side::below ? Range{subtract(at, pass.reach), at}
                                     : Range{at, add(at, pass.reach)};
  return {std::max(r.start, lowest.value()), std::min(r.end, user_end(mode))};
}

// The unmapped ranges of `within`, less what is kept free next to their neighbours.
std::vector<Range> usable_gaps(std::span<const Mapping> mappings, const Pass& pass, Range within) {
  std::vector<Range> gaps;
  std::uint64_t free_from = 0;
  for (const Mapping& m : mappings) {
    const std::uint64_t keep = is_stack(m) ? pass.below_stack : pass.beside;
    gaps.push_back({free_from, subtract(m.start.value(), keep)});
    free_from = std::max(free_from, add(m.end.value(), is_heap(m) ? pass.above_heap : pass.beside));
  }
  gaps.push_back({free_from, UINT64_MAX});
  for (Range& gap : gaps) {
    gap = {std::max(gap.start, within.start), std::min(gap.end, within.end)};
  }
  return gaps;
}

// In the middle of a small gap, at `distance` below the upper neighbour in a large one, and at the
// very end of one that the reach ends, not a neighbour: there the heap arrives last.
std::optional<Address> place(Range gap, std::uint64_t window_end, std::uint64_t size) {
  const bool has_neighbour = gap.end < window_end;
  gap = {add(gap.start, page_size - 1) / page_size * page_size, gap.end / page_size * page_size};
  if (gap.size() < size) return std::nullopt;
  const std::uint64_t slack = has_neighbour ? std::min((gap.size() - size) / 2, distance) : 0;
  return Address((gap.end - size - slack) / page_size * page_size);
}

}  // namespace

const Mapping* find_mapping(std::span<const Mapping> mappings, Address address) {
  auto next = std::ranges::upper_bound(mappings, address, {}, &Mapping::end);
  return next != mappings.end() && next->contains(address) ? &*next : nullptr;
}

std::optional<Gap> find_gap_at(std::span<const Mapping> mappings, Address address) {
  auto next = std::ranges::upper_bound(mappings, address, {}, &Mapping::end);
  if (next != mappings.end() && next->contains(address)) return std::nullopt;
  return Gap{next == mappings.begin() ? Address(0) : std::prev(next)->end,
             next == mappings.end() ? Address(UINT64_MAX) : next->start};
}

std::optional<Address> find_gap_near(std::span<const Mapping> mappings, Address text,
                                     std::uint64_t size, x86::Mode mode, Address lowest) {
  if (size == 0 || size > gib) return std::nullopt;
  size = (size + page_size - 1) / page_size * page_size;
  for (const Pass& pass : mode == x86::Mode::amd64 ? passes64 : passes32) {
    const Range within = window(pass, text, mode, lowest);
    auto gaps = usable_gaps(mappings, pass, within);
    auto largest = std::ranges::max_element(gaps, {}, &Range::size);
    if (auto found = place(*largest, within.end, size)) return found;
  }
  return std::nullopt;
}

}  // namespace stub
