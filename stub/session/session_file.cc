// Host I/O: the vFile packets. HostIo does the work, the text is here.
#include <fmt/format.h>

#include <utility>

#include "protocol/framing.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/hostio/file_io.h"
#include "stub/session/session.h"

namespace stub {
namespace {

std::string failure(const Error& error) { return rsp::file_error(file_io::errno_of(error)); }

std::string done(const Result<void>& result) {
  return result ? rsp::file_result(0) : failure(result.error());
}

std::string status_reply(const Result<struct stat>& status) {
  if (!status) return failure(status.error());
  return rsp::file_data(file_io::encode(*status), packet_size);
}

}  // namespace

Reply Session::on(const rsp::FileOpen& request) {
  const auto fd = connection_.files->open(request.path, request.flags, request.mode);
  return fd ? rsp::file_result(*fd) : failure(fd.error());
}

Reply Session::on(const rsp::FileClose& request) {
  return done(connection_.files->close(request.fd));
}

Reply Session::on(const rsp::FileRead& request) {
  const std::uint64_t count = std::min<std::uint64_t>(request.count, packet_size);
  const auto data = connection_.files->pread(request.fd, count, request.offset);
  return data ? rsp::file_data(*data, packet_size) : failure(data.error());
}

Reply Session::on(const rsp::FileWrite& request) {
  const auto written = connection_.files->pwrite(request.fd, request.offset, request.data);
  return written ? rsp::file_result(static_cast<std::int64_t>(*written)) : failure(written.error());
}

Reply Session::on(const rsp::FileStatus& request) {
  return status_reply(connection_.files->fstat(request.fd));
}

Reply Session::on(const rsp::FileStatusOf& request) {
  const bool follow = request.follow_links && !connection_.stat_is_lstat;
  return status_reply(follow ? connection_.files->stat(request.path)
                             : connection_.files->lstat(request.path));
}

Reply Session::on(const rsp::FileUnlink& request) {
  return done(connection_.files->unlink(request.path));
}

Reply Session::on(const rsp::FileReadLink& request) {
  const auto target = connection_.files->readlink(request.path);
  return target ? rsp::file_data(rsp::as_bytes(*target), packet_size) : failure(target.error());
}

Reply Session::on(const rsp::FileSetFilesystem& request) {
  return done(connection_.files->set_filesystem(
      request.pid == 0 ? std::nullopt : std::optional(Pid{static_cast<pid_t>(request.pid)})));
}

// ---- LLDB's ------------------------------------------------------------------------------------

Reply Session::on(const rsp::FileSize& request) {
  const auto status = connection_.files->stat(request.path);
  return status ? rsp::file_result(status->st_size) : failure(status.error());
}

Reply Session::on(const rsp::FileMode& request) {
  const auto status = connection_.files->stat(request.path);
  return status ? rsp::file_result(status->st_mode & 0777) : failure(status.error());
}

Reply Session::on(const rsp::FileExists& request) {
  return connection_.files->exists(request.path) ? "F,1" : "F,0";
}

Reply Session::on(const rsp::FileMd5& request) { return work_on(digest(request.path)); }

Work<Reply> Session::digest(std::string path) {
  const auto sum = co_await connection_.files->md5(std::move(path));
  co_return sum ? fmt::format("F,{:016x}{:016x}", (*sum)[0], (*sum)[1]) : "F,x";
}

Reply Session::on(const rsp::FileSymlink& request) {
  return done(connection_.files->symlink(request.target, request.link));
}

}  // namespace stub
