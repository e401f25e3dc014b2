// The format strings of the printf opcode (gdb's `dprintf` with `set dprintf-style agent`).
//
// gdb sends the format as the user typed it, escapes included; the stub has to read both. A format
// comes from a client and its pointers from a program, so neither reaches the C library's printf:
// the format is taken apart once, when the breakpoint is inserted, and only integer conversions,
// rebuilt from what was understood, are given to the library, one at a time. The dialect is that of
// gdb's own printf without floating point (agent expressions have none), wide characters and `*`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/agent_environment.h"
#include "protocol/error.h"

namespace rsp {

class AgentFormat {
 public:
  // `format` is without its NUL. Errors: malformed (a broken conversion or escape), unsupported
  // (%n, floating point, wide characters, `*`), refused (a field wider than 1024).
  static Result<AgentFormat> verify(std::string_view format);

  std::size_t argument_count() const { return argument_count_; }
  std::size_t memory_size() const;  // bytes

  // Appends the text to `out`; there are argument_count() arguments. A string is read up to its NUL
  // or the first page that cannot be read (64 KiB at most). Error: bad_address when not even its
  // first byte can be.
  Result<void> print(std::span<const std::uint64_t> arguments, AgentMemory& memory,
                     std::string& out) const;

 private:
  // A stretch of literal text (`conversion` is 0), or one conversion.
  struct Piece {
    char conversion = 0;    // d i u o x X c s p
    std::string text;       // literal, or for integers the library's format of a long long
    std::uint8_t bits = 0;  // of an integer argument that count
    bool left = false;
    unsigned width = 0;
    std::size_t precision = std::string::npos;  // of a string: bytes at most
  };

  static Result<Piece> parse_conversion(std::string_view text, std::size_t& at);
  static Result<void> print_argument(const Piece& piece, std::uint64_t argument,
                                     AgentMemory& memory, std::string& out);

  std::vector<Piece> pieces_;
  std::size_t argument_count_ = 0;
};

}  // namespace rsp
