// Text inside the XML documents that the stub makes.
#pragma once

#include <string>
#include <string_view>

namespace stub {

// `text` as XML character data or attribute value: the five special characters become entities, and
// what no XML document may contain becomes '?' (control characters, bytes that are not UTF-8: the
// names of files, threads and programs may hold any of them, and a client's parser gives up the
// whole document at the first one).
std::string xml_text(std::string_view text);

}  // namespace stub
