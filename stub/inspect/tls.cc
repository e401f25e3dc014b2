#include "stub/inspect/tls.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <optional>
#include <vector>

#include "stub/inspect/elf_symbols.h"
#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

constexpr std::size_t max_program_headers = 256;
constexpr std::uint64_t max_modules = 1u << 20;
constexpr std::size_t link_map_reach = 2048;  // glibc's is some 1200 bytes, musl's some 350

struct TlsSegment {
  std::uint64_t address = 0;  // as linked
  std::uint64_t file_size = 0, memory_size = 0, alignment = 1;
};

struct Object {
  std::optional<TlsSegment> tls;
  std::optional<std::uint64_t> interpreter;  // address of the dynamic linker's name, as linked
  std::uint64_t header_address = 0;  // of the program headers, as linked; 0 if they don't say
};

template <class Phdr>
Object read_object(MemoryReader& memory, Address headers, std::size_t count) {
  std::vector<Phdr> table(std::min(count, max_program_headers));
  const auto bytes = std::as_writable_bytes(std::span(table));
  table.resize(memory.read(headers, bytes) / sizeof(Phdr));
  Object object;
  for (const Phdr& header : table) {
    if (header.p_type == PT_TLS) {
      object.tls = TlsSegment{header.p_vaddr, header.p_filesz, header.p_memsz,
                              std::max<std::uint64_t>(header.p_align, 1)};
    }
    if (header.p_type == PT_INTERP) object.interpreter = header.p_vaddr;
    if (header.p_type == PT_PHDR) object.header_address = header.p_vaddr;
  }
  return object;
}

Object read_object(const ProgramImage& program, Address headers, std::size_t count) {
  return program.word_size == 4 ? read_object<Elf32_Phdr>(program.memory, headers, count)
                                : read_object<Elf64_Phdr>(program.memory, headers, count);
}

std::optional<std::uint64_t> read_word(const ProgramImage& program, Address at) {
  if (program.word_size == 8) return read_value<std::uint64_t>(program.memory, at);
  return read_value<std::uint32_t>(program.memory, at);
}

std::uint64_t mask(const ProgramImage& program, std::uint64_t value) {
  return program.word_size == 8 ? value : value & UINT32_MAX;
}

struct MainProgram {
  Object object;
  bool is_musl = false;
};

std::optional<MainProgram> read_main(const ProgramImage& program) {
  const auto value = [&](std::uint64_t type) {
    return proc_fs::auxv_value(program.auxv, program.word_size, type);
  };
  const auto headers = value(AT_PHDR);
  const auto count = value(AT_PHNUM);
  if (!headers || !count) return std::nullopt;
  MainProgram main{read_object(program, Address(*headers), *count)};
  if (main.object.interpreter) {
    // The dynamic linker is the C library itself, or belongs to it; only their names differ.
    const std::uint64_t bias = *headers - main.object.header_address;
    char name[256] = {};
    program.memory.read(Address(mask(program, bias + *main.object.interpreter)),
                        std::as_writable_bytes(std::span(name).first(sizeof name - 1)));
    main.is_musl = std::strstr(name, "/ld-musl") != nullptr;
  }
  return main;
}

template <class Ehdr>
std::optional<Object> read_library(const ProgramImage& program, std::uint64_t bias) {
  const auto header = read_value<Ehdr>(program.memory, Address(bias));
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return std::nullopt;
  return read_object(program, Address(bias + header->e_phoff), header->e_phnum);
}

std::uint64_t thread_pointer(const TlsThread& thread) {
  return mask(thread.program,
              thread.program.word_size == 8 ? thread.registers.fs_base : thread.registers.gs_base);
}

// The main program's block: what the linker has laid down for local exec.
Result<Address> main_address(const TlsThread& thread, const Object& main, std::uint64_t offset) {
  if (!main.tls || !std::has_single_bit(main.tls->alignment)) {
    return fail(Errc::refused, "The program has no thread-local storage");
  }
  const std::uint64_t round = main.tls->alignment - 1;
  const std::uint64_t size = (main.tls->memory_size + round) & ~round;
  return Address(mask(thread.program, thread_pointer(thread) - size + offset));
}

// What a link map holds behind the description of its TLS segment.
struct Module {
  std::uint64_t static_offset = 0;  // below the thread pointer; 0 unless the block is there
  std::uint64_t number = 0;         // index in the thread's vector of blocks
};

// glibc (struct link_map, include/link.h): image, file size, memory size, alignment, offset of the
// first byte, static offset (0: none, -1: never), module number.
// musl (struct dso and tls_module, ldso/dynlink.c): image, file size, memory size, alignment,
// offset, module number; the offset counts also for modules loaded later, whose blocks are
// elsewhere.
std::optional<Module> find_module(const ProgramImage& program, Address link_map, std::uint64_t bias,
                                  const TlsSegment& tls, bool is_musl) {
  std::vector<std::uint64_t> words;
  for (std::size_t at = 0; at < link_map_reach; at += program.word_size) {
    const auto word = read_word(program, link_map + at);
    if (!word) break;
    words.push_back(*word);
  }
  const std::array<std::uint64_t, 4> pattern{mask(program, bias + tls.address), tls.file_size,
                                             tls.memory_size, tls.alignment};
  const auto found = std::ranges::search(words, pattern);
  const std::span rest(found.end(), words.end());
  const std::size_t needed = is_musl ? 2 : 3;
  if (found.empty() || rest.size() < needed) return std::nullopt;
  if (is_musl) return Module{0, rest[1]};
  const bool none = rest[1] == 0 || rest[1] == mask(program, ~std::uint64_t{0});
  return Module{none ? 0 : rest[1], rest[2]};
}

// The thread's vector of blocks is the second word of both libcs' thread descriptors. glibc's has
// two words per module, its length in front and a block of -1 where nothing is allocated; musl's
// one word per module and its length first.
std::optional<std::uint64_t> block_in_vector(const TlsThread& thread, std::uint64_t number,
                                             bool is_musl) {
  const ProgramImage& program = thread.program;
  const std::size_t word = program.word_size;
  const auto vector = read_word(program, Address(thread_pointer(thread)) + word);
  if (!vector || *vector == 0 || number == 0) return std::nullopt;
  const Address at(*vector);
  const auto length = read_word(program, is_musl ? at : at - 2 * word);
  if (!length || number > *length || number > max_modules) return std::nullopt;
  const auto block = read_word(program, at + number * (is_musl ? word : 2 * word));
  if (!block || *block == 0 || *block == mask(program, ~std::uint64_t{0})) return std::nullopt;
  return block;
}

Result<Address> library_address(const TlsThread& thread, std::uint64_t offset, Address link_map,
                                bool is_musl) {
  const ProgramImage& program = thread.program;
  const auto bias = read_word(program, link_map);
  if (!bias) return fail(Errc::bad_address, "Cannot read the link map");
  const auto object = program.word_size == 4 ? read_library<Elf32_Ehdr>(program, *bias)
                                             : read_library<Elf64_Ehdr>(program, *bias);
  if (!object) return fail(Errc::bad_address, "Not the link map of a library");
  if (!object->tls) return fail(Errc::refused, "The library has no thread-local storage");
  const auto module = find_module(program, link_map, *bias, *object->tls, is_musl);
  if (!module) return fail(Errc::refused, "The C library's link map is of an unknown form");
  if (module->static_offset != 0) {
    return Address(mask(program, thread_pointer(thread) - module->static_offset + offset));
  }
  const auto block = block_in_vector(thread, module->number, is_musl);
  if (!block) {
    return fail(Errc::refused, "The thread-local storage is not allocated in this thread yet");
  }
  return Address(mask(program, *block + offset));
}

}  // namespace

Result<Address> tls_address(const TlsThread& thread, std::uint64_t offset, Address link_map,
                            const TlsOptions& options) {
  const auto thread_db = ThreadDb::load(options.library_path);
  if (!thread_db && options.library_path != TlsOptions{}.library_path) {
    return tl::unexpected(thread_db.error());
  }
  const auto main = read_main(thread.program);
  if (!main) return fail(Errc::refused, "The program's headers cannot be found");
  if (thread_pointer(thread) == 0) {
    return fail(Errc::refused, "The thread has no thread-local storage yet");
  }
  if (link_map.value() == 0 || link_map == main_link_map(thread.program)) {
    return main_address(thread, main->object, offset);
  }
  if (thread_db && thread.program.word_size == sizeof(void*) && !main->is_musl) {
    auto address = thread_db->tls_address(thread, offset, link_map);
    if (address || address.error().code == Errc::refused) return address;
  }
  return library_address(thread, offset, link_map, main->is_musl);
}

}  // namespace stub
