// Names of files, threads and programs are bytes; XML and JSON take UTF-8 only.
#pragma once

#include <cstddef>
#include <string_view>

namespace stub {

// Length of the well-formed sequence at the start of `text` (not empty), 0 if there is none (RFC
// 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t utf8_length(std::string_view text);

}  // namespace stub
