// The vocabulary of the daemon.
#pragma once

#include <sys/types.h>
#include <compare>
#include <cstdint>

#include "arch/address.h"
#include "protocol/error.h"

namespace stub {

using rsp::Errc;
using rsp::Error;
using rsp::fail;
using rsp::Result;
using x86::Address;

// Process and thread ids of the inferior's pid namespace as the stub sees them. A thread is named
// by its tid alone (Linux tids are unique among live threads).
enum class Pid : pid_t {};
enum class Tid : pid_t {};
constexpr pid_t raw(Pid pid) { return static_cast<pid_t>(pid); }
constexpr pid_t raw(Tid tid) { return static_cast<pid_t>(tid); }
constexpr Tid leader_of(Pid pid) { return Tid{raw(pid)}; }

}  // namespace stub
