#include "stub/inspect/elf_symbols.h"

#include <elf.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace stub {
namespace {

// The program may be damaged or hostile, and its lists without end, one within the other. Each step
// along any of them is a read, and for one symbol there are so many: ten times what a program of a
// thousand libraries needs, and less than half a second.
class LimitedReader final : public MemoryReader {
 public:
  explicit LimitedReader(MemoryReader& memory) : memory_(memory) {}

  std::size_t read(Address from, std::span<std::byte> to) override {
    if (left_ == 0) return 0;
    --left_;
    return memory_.read(from, to);
  }

 private:
  MemoryReader& memory_;
  unsigned left_ = 400'000;
};

struct LinkMap {  // <link.h>
  std::uint64_t bias, name, dynamic, next, previous;
};

// What a lookup needs of one object; addresses, 0 where it has none.
struct SymbolTable {
  std::uint64_t symbols = 0, strings = 0, gnu_hash = 0;
};

// The dynamic linker of glibc relocates the entries in place, musl's and the vDSO's are as linked.
std::uint64_t relocated(std::uint64_t value, std::uint64_t bias) {
  return value < bias ? value + bias : value;
}

std::optional<SymbolTable> read_table(MemoryReader& memory, const LinkMap& map) {
  SymbolTable table;
  for (Address at(map.dynamic);; at = at + sizeof(Elf64_Dyn)) {
    const auto entry = read_value<Elf64_Dyn>(memory, at);
    if (!entry || entry->d_tag == DT_NULL) break;
    const std::uint64_t value = relocated(entry->d_un.d_ptr, map.bias);
    if (entry->d_tag == DT_SYMTAB) table.symbols = value;
    if (entry->d_tag == DT_STRTAB) table.strings = value;
    if (entry->d_tag == DT_GNU_HASH) table.gnu_hash = value;
  }
  if (table.symbols == 0 || table.strings == 0 || table.gnu_hash == 0) return std::nullopt;
  return table;
}

std::uint32_t gnu_hash(std::string_view name) {
  std::uint32_t hash = 5381;
  for (const char c : name) hash = hash * 33 + static_cast<unsigned char>(c);
  return hash;
}

bool is_named(MemoryReader& memory, std::uint64_t at, std::string_view name) {
  std::string found(name.size() + 1, 'x');
  return memory.read(Address(at), std::as_writable_bytes(std::span(found))) == found.size() &&
         found.back() == '\0' && std::string_view(found).substr(0, name.size()) == name;
}

// The layout of DT_GNU_HASH: four words (buckets, first hashed symbol, size of the Bloom filter,
// its shift), the filter in 64-bit words, the buckets, and for each hashed symbol its hash with the
// lowest bit set in the last of a bucket.
std::optional<Address> look_up(MemoryReader& memory, const LinkMap& map, std::string_view name) {
  const auto table = read_table(memory, map);
  if (!table) return std::nullopt;
  const Address hashes(table->gnu_hash);
  const auto header = read_value<std::array<std::uint32_t, 4>>(memory, hashes);
  if (!header || (*header)[0] == 0) return std::nullopt;
  const auto [bucket_count, first_symbol, filter_size, shift] = *header;
  const Address buckets = hashes + sizeof(*header) + std::uint64_t{filter_size} * 8;
  const Address chains = buckets + std::uint64_t{bucket_count} * 4;
  const std::uint32_t hash = gnu_hash(name);
  const auto bucket = read_value<std::uint32_t>(memory, buckets + hash % bucket_count * 4ull);
  if (!bucket || *bucket < first_symbol) return std::nullopt;

  for (std::uint64_t i = *bucket;; ++i) {
    const auto link = read_value<std::uint32_t>(memory, chains + (i - first_symbol) * 4);
    if (!link) return std::nullopt;
    if ((*link | 1) == (hash | 1)) {
      const auto symbol =
          read_value<Elf64_Sym>(memory, Address(table->symbols) + i * sizeof(Elf64_Sym));
      if (symbol && symbol->st_shndx != SHN_UNDEF &&
          is_named(memory, table->strings + symbol->st_name, name)) {
        return Address(map.bias + symbol->st_value);
      }
    }
    if (*link & 1) return std::nullopt;
  }
}

}  // namespace

std::optional<Address> main_link_map(const ProgramImage& program) {
  const auto debug_entry = shlib_info_address(program);
  if (!debug_entry) return std::nullopt;
  const auto word = [&](Address at) -> std::uint64_t {
    return program.word_size == 4 ? read_value<std::uint32_t>(program.memory, at).value_or(0)
                                  : read_value<std::uint64_t>(program.memory, at).value_or(0);
  };
  const std::uint64_t r_debug = word(*debug_entry);
  if (r_debug == 0) return std::nullopt;
  const std::uint64_t map = word(Address(r_debug) + program.word_size);  // r_version, r_map
  return map != 0 ? std::optional(Address(map)) : std::nullopt;
}

std::optional<Address> find_dynamic_symbol(const ProgramImage& program, std::string_view name) {
  auto at = main_link_map(program);
  if (program.word_size != 8) return std::nullopt;
  LimitedReader memory(program.memory);
  while (at) {
    const auto map = read_value<LinkMap>(memory, *at);
    if (!map) break;
    if (const auto found = look_up(memory, *map, name)) return found;
    at = map->next != 0 ? std::optional(Address(map->next)) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace stub
