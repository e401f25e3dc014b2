// Host I/O. Numbers are hexadecimal; GDB writes negative descriptors as unsigned 32-bit values.
#include "protocol/parsers.h"

namespace rsp::parsers {
namespace {

Parsed status_of(std::string_view arguments, bool follow_links) {
  auto path = text_from_hex(arguments);
  if (!path) return malformed();
  return made(FileStatusOf{std::move(*path), follow_links});
}

}  // namespace

Parsed file_open(std::string_view arguments) {
  Cursor in(arguments);
  FileOpen request;
  auto path = text_from_hex(in.until(','));
  if (!path) return malformed();
  request.path = std::move(*path);
  const bool good = in.hex(request.flags) && in.take(',') && in.hex(request.mode);
  return complete(in, good, std::move(request));
}

Parsed file_read(std::string_view arguments) {
  Cursor in(arguments);
  FileRead request;
  const bool good = in.hex(request.fd) && in.take(',') && in.hex(request.count) && in.take(',') &&
                    in.hex(request.offset);
  return complete(in, good, request);
}

Parsed file_write(std::string_view arguments) {
  Cursor in(arguments);
  FileWrite request;
  if (!in.hex(request.fd) || !in.take(',') || !in.hex(request.offset) || !in.take(','))
    return malformed();
  const auto data = as_bytes(in.rest());
  request.data.assign(data.begin(), data.end());
  return made(std::move(request));
}

Parsed file_stat(std::string_view arguments) { return status_of(arguments, true); }
Parsed file_lstat(std::string_view arguments) { return status_of(arguments, false); }

Parsed file_symlink(std::string_view arguments) {
  Cursor in(arguments);
  auto target = text_from_hex(in.until(','));
  auto link = text_from_hex(in.rest());
  if (!target || !link) return malformed();
  return made(FileSymlink{std::move(*target), std::move(*link)});
}

}  // namespace rsp::parsers
