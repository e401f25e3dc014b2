// si_signo, si_errno and si_code stand first in both layouts. What follows is a union that si_code
// and, for what the kernel sends, si_signo tell apart (kernel/signal.c, siginfo_layout); both
// layouts have the same members in the same order, but pointers, longs and clock_t are 4 bytes wide
// in the i386 one and nothing there is aligned to more.
#include "stub/inspect/siginfo_i386.h"

#include <cstdint>
#include <cstring>

namespace stub {
namespace {

enum class Layout { sender, timer, value, fault, child, poll, system };

Layout layout_of(const siginfo_t& info) {
  if (info.si_code == SI_TIMER) return Layout::timer;
  if (info.si_code == SI_USER || info.si_code == SI_TKILL) return Layout::sender;
  if (info.si_code < 0) return Layout::value;
  switch (info.si_signo) {
    case SIGILL:
    case SIGFPE:
    case SIGSEGV:
    case SIGBUS:
    case SIGTRAP:
      return Layout::fault;
    case SIGCHLD:
      return Layout::child;
    case SIGIO:
      return Layout::poll;
    case SIGSYS:
      return Layout::system;
    default:
      return Layout::sender;
  }
}

// Copies fields between the structure and the 32-bit image, in the direction of the archive.
class Writer {
 public:
  explicit Writer(std::span<std::byte, i386_siginfo_size> image) : image_(image) {}
  template <class T>
  void field(std::size_t offset, const T& value) {
    const auto narrow = static_cast<std::uint32_t>(word(value));
    std::memcpy(image_.data() + offset, &narrow, sizeof narrow);
  }

 private:
  static std::uint64_t word(void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }
  template <class T>
  static std::uint64_t word(T number) {
    return static_cast<std::uint64_t>(number);
  }
  std::span<std::byte, i386_siginfo_size> image_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte, i386_siginfo_size> image) : image_(image) {}
  template <class T>
  void field(std::size_t offset, T& value) const {
    std::int32_t narrow = 0;
    std::memcpy(&narrow, image_.data() + offset, sizeof narrow);
    store(value, narrow);
  }

 private:
  static void store(void*& pointer, std::int32_t narrow) {
    pointer = reinterpret_cast<void*>(std::uintptr_t{static_cast<std::uint32_t>(narrow)});
  }
  template <class T>
  static void store(T& number, std::int32_t narrow) {
    number = static_cast<T>(narrow);
  }
  std::span<const std::byte, i386_siginfo_size> image_;
};

template <class Archive, class Info>
void head(Archive& archive, Info& info) {
  archive.field(0, info.si_signo);
  archive.field(4, info.si_errno);
  archive.field(8, info.si_code);
}

template <class Archive, class Info>
void fields(Archive& archive, Info& info) {
  switch (layout_of(info)) {
    case Layout::sender:
      archive.field(12, info.si_pid);
      archive.field(16, info.si_uid);
      archive.field(20, info.si_value.sival_ptr);
      break;
    case Layout::timer:
      archive.field(12, info.si_timerid);
      archive.field(16, info.si_overrun);
      archive.field(20, info.si_value.sival_ptr);
      break;
    case Layout::value:
      archive.field(12, info.si_pid);
      archive.field(16, info.si_uid);
      archive.field(20, info.si_value.sival_ptr);
      break;
    case Layout::fault:
      archive.field(12, info.si_addr);
      archive.field(16, info.si_addr_lsb);
      archive.field(20, info.si_lower);
      archive.field(24, info.si_upper);
      break;
    case Layout::child:
      archive.field(12, info.si_pid);
      archive.field(16, info.si_uid);
      archive.field(20, info.si_status);
      archive.field(24, info.si_utime);
      archive.field(28, info.si_stime);
      break;
    case Layout::poll:
      archive.field(12, info.si_band);
      archive.field(16, info.si_fd);
      break;
    case Layout::system:
      archive.field(12, info.si_call_addr);
      archive.field(16, info.si_syscall);
      archive.field(20, info.si_arch);
      break;
  }
}

}  // namespace

std::array<std::byte, i386_siginfo_size> to_i386(const siginfo_t& info) {
  std::array<std::byte, i386_siginfo_size> image{};
  Writer writer(image);
  head(writer, info);
  fields(writer, info);
  return image;
}

siginfo_t from_i386(std::span<const std::byte, i386_siginfo_size> bytes) {
  siginfo_t info{};
  const Reader reader(bytes);
  head(reader, info);
  fields(reader, info);
  return info;
}

}  // namespace stub
