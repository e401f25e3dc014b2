// qCRC and qSearch:memory: work on the inferior's memory that would otherwise cost its transfer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stub/base/memory_reader.h"
#include "stub/base/types.h"
#include "stub/base/work.h"

namespace stub {

// The CRC-32 of GDB's "compare-sections" (GDB manual, qCRC): polynomial 0x04c11db7, most
// significant bit first, starting from all ones, without a final complement.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t initial = 0xffffffff);

// The CRC of [start, start + length). bad_address when a byte of it cannot be read.
Work<Result<std::uint32_t>> memory_crc32(MemoryReader& memory, Address start, std::uint64_t length);

// The first place of `pattern` that lies in [start, start + length) whole; nullopt: there is none.
// bad_address when an unreadable byte is met before a match is. An empty pattern is found at the
// start.
Work<Result<std::optional<Address>>> search_memory(MemoryReader& memory, Address start,
                                                   std::uint64_t length,
                                                   std::vector<std::byte> pattern);

}  // namespace stub
