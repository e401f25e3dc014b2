// What has to be undone in other processes should this one die: written down before it is done,
// crossed out after it is undone.
//
// The daemon leaves things in programs it is attached to: breakpoint bytes, areas, threads inside
// slots. When it dies by SIGKILL or crashes, whoever cleans up (guardian.h, crash.h) has nothing
// but this record, so it lives in memory shared with the guardian, in a file that has no name
// (memfd_create(2)) and is kept across execve. Whether the heap of the dead is in order does not
// matter: the journal is rows of plain values at fixed places and holds no pointer.
//
// There is one writer, and readers look only when it has ended. So a row needs no lock, just an
// order: its values are written before it is marked live and the mark is taken away before the row
// is used again. Undoing is guarded and can be repeated (a byte is restored only where our int3 is
// found), so a row too many does no harm and a row too few cannot be.
//
// Rows are written when something is inserted, mapped or removed. A hit of a breakpoint writes into
// a row that its thread has already (SettledRow), which is a copy of its registers.
// Pages of the file that no row was ever written to take no memory.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "arch/registers.h"
#include "stub/base/types.h"
#include "stub/inferior/slot.h"
#include "stub/kernel/tracee.h"

namespace stub {

// An address space by number: several processes may share one (vfork), and exec changes it.
enum class SpaceId : std::uint32_t {};
SpaceId next_space_id();

// A traced process that is to live on when the daemon dies; others are killed by the kernel.
struct ProcessRow {
  Pid pid{};
  SpaceId space{};
  x86::Mode mode = x86::Mode::amd64;
  bool trap_ignored = false;
};
struct SiteRow {
  Address address;
  SpaceId space{};
  std::uint8_t shadow = 0;
  bool own_page = false;  // site_memory.h
};
struct AreaRow {
  Address start;
  std::uint64_t size = 0;
  SpaceId space{};
};
struct SlotRow {
  Slot slot;
  SpaceId space{};
};
// A thread in a slot whose scratch register is borrowed.
struct ScratchRow {
  std::uint64_t program_value = 0;
  Address site;
  Tid tid{};
};

// A stopped thread whose stop has been dealt with, and which is given the registers to go on with:
// the kernel has the ones or the others, or a part of each.
struct SettledRow {
  Tid tid{};
  bool before_is_settled = false;  // `before`, too, is what it could go on with
  x86::GeneralRegisters before{}, after{};
};
// A thread that is made to execute a system call, with what it had before.
struct BorrowedRow {
  Tid tid{};
  x86::GeneralRegisters registers{};
  std::uint64_t signal_mask = 0;
  SyscallDispatch dispatch;
};

template <class Row>
struct JournalCell {
  std::atomic<bool> live;
  Row row;
};

template <class Row, std::size_t capacity>
struct JournalSheet {
  static_assert(std::is_trivially_copyable_v<Row>);
  std::atomic<std::uint32_t> used;  // cells from here on were never written
  JournalCell<Row> cells[capacity];
};

// The file, zero at first, which is an empty journal.
struct JournalFile {
  JournalSheet<ProcessRow, 1u << 18> processes;
  JournalSheet<SiteRow, 1u << 20> sites;
  JournalSheet<AreaRow, 1u << 18> areas;
  JournalSheet<SlotRow, 1u << 18> slots;
  JournalSheet<ScratchRow, 1u << 16> scratches;
  JournalSheet<SettledRow, 1u << 18> settled;  // one for each thread
  JournalSheet<BorrowedRow, 16> borrowed;
};

// The writer's side of one sheet.
template <class Row>
class JournalTable {
 public:
  template <std::size_t capacity>
  void open(JournalSheet<Row, capacity>& sheet) {
    used_ = &sheet.used;
    cells_ = sheet.cells;
    capacity_ = capacity;
  }
  // nullptr: the sheet is full, or there is no journal. Sheets of what a client can have very many
  // of (sites, slots) can be filled; the others have room for as much as the kernel has as a rule.
  JournalCell<Row>* add(const Row& row) {
    JournalCell<Row>* cell = free_cell();
    if (cell == nullptr) return nullptr;
    cell->row = row;
    cell->live.store(true, std::memory_order_release);
    return cell;
  }
  void remove(JournalCell<Row>* cell) {
    cell->live.store(false, std::memory_order_release);
    free_.push_back(static_cast<std::uint32_t>(cell - cells_));
  }
  // The reader's side.
  void clear() {
    if (used_ != nullptr) used_->store(0, std::memory_order_release);
  }
  template <class Visit>
  void for_each(Visit visit) const {
    const std::uint32_t used = used_ == nullptr ? 0 : used_->load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < used && i < capacity_; ++i)
      if (cells_[i].live.load(std::memory_order_acquire)) visit(std::as_const(cells_[i].row));
  }

 private:
  JournalCell<Row>* free_cell() {
    if (!free_.empty()) {
      const std::uint32_t index = free_.back();
      free_.pop_back();
      return &cells_[index];
    }
    if (used_ == nullptr || used_->load(std::memory_order_relaxed) == capacity_) return nullptr;
    return &cells_[used_->fetch_add(1, std::memory_order_release)];
  }

  std::atomic<std::uint32_t>* used_ = nullptr;
  JournalCell<Row>* cells_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::vector<std::uint32_t> free_;
};

class Journal {
 public:
  // Makes the file. False with errno: there will be no journal, and add() records nothing.
  bool create();
  // Reads the file that a predecessor has left open as `fd`.
  bool open(int fd);
  // Everything has been undone. No row may be in use.
  void clear();
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  JournalTable<ProcessRow> processes;
  JournalTable<SiteRow> sites;
  JournalTable<AreaRow> areas;
  JournalTable<SlotRow> slots;
  JournalTable<ScratchRow> scratches;
  JournalTable<SettledRow> settled;
  JournalTable<BorrowedRow> borrowed;

 private:
  bool map(int fd);
  int fd_ = -1;
};

// This process's journal. Tests have none.
Journal& journal();

// A row for as long as the object lives. Empty: not recorded.
template <class Row, JournalTable<Row> Journal::*table>
class JournalEntry {
 public:
  JournalEntry() = default;
  explicit JournalEntry(const Row& row) : cell_((journal().*table).add(row)) {}
  JournalEntry(JournalEntry&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  JournalEntry& operator=(JournalEntry&& other) noexcept {
    std::swap(cell_, other.cell_);
    return *this;
  }
  ~JournalEntry() {
    if (cell_ != nullptr) (journal().*table).remove(cell_);
  }

  // There is a journal, but no room in it: what it was to be written for must not be done.
  bool is_lost() const { return cell_ == nullptr && journal().is_open(); }
  Row* row() { return cell_ == nullptr ? nullptr : &cell_->row; }

 private:
  JournalCell<Row>* cell_ = nullptr;
};

using ProcessEntry = JournalEntry<ProcessRow, &Journal::processes>;
using SiteEntry = JournalEntry<SiteRow, &Journal::sites>;
using AreaEntry = JournalEntry<AreaRow, &Journal::areas>;
using SlotEntry = JournalEntry<SlotRow, &Journal::slots>;
using ScratchEntry = JournalEntry<ScratchRow, &Journal::scratches>;
using BorrowedEntry = JournalEntry<BorrowedRow, &Journal::borrowed>;

// A thread's SettledRow, kept for the thread's life and live from stop to resume.
class SettledEntry {
 public:
  SettledEntry() = default;
  SettledEntry(SettledEntry&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  SettledEntry& operator=(SettledEntry&& other) noexcept {
    std::swap(cell_, other.cell_);
    return *this;
  }
  ~SettledEntry() {
    if (cell_ != nullptr) journal().settled.remove(cell_);
  }

  // Before the kernel is given these registers.
  void announce(Tid tid, const x86::GeneralRegisters& before, const x86::GeneralRegisters& after) {
    if (cell_ == nullptr) {
      cell_ = journal().settled.add(
          {.tid = tid, .before_is_settled = false, .before = before, .after = after});
      return;
    }
    const bool was_live = cell_->live.exchange(false, std::memory_order_acq_rel);
    cell_->row.before_is_settled = was_live;
    cell_->row.before = before;
    cell_->row.after = after;
    cell_->live.store(true, std::memory_order_release);
  }
  // The thread runs.
  void lift() {
    if (cell_ != nullptr) cell_->live.store(false, std::memory_order_release);
  }

 private:
  JournalCell<SettledRow>* cell_ = nullptr;
};

}  // namespace stub
