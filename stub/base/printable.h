// Text of a client or a program on its way to a terminal or a log.
#pragma once

#include <string>
#include <string_view>

namespace stub {

// `text` without anything that a terminal acts upon: control characters (C0, DEL, and C1, which
// UTF-8 can encode) and bytes that are not UTF-8 become \n, \t or \xNN. The characters in `kept`
// stay. Backslashes stay too, so the result is for reading, not for decoding.
std::string printable(std::string_view text, std::string_view kept = {});

}  // namespace stub
