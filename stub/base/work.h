// Work that takes long, done a little at a time.
//
// The server is one thread. A request that lists all processes of the machine, digests a file or
// searches memory would keep everything else waiting: hits of breakpoints, the client's ^C,
// SIGTERM. Such a request is a coroutine that returns Work<T> and pauses after each small piece (a
// process, a library, some kilobytes): well under a millisecond, since nobody interrupts a piece.
// The session advances it as long as the client's turn lasts, and the server has other things to do
// between two turns. The reply is sent when the work is done. Work that is destroyed before its end
// is simply not done any more: that is how it ends with the client that asked for it.
//
// Alternatives: a thread beside the loop (ptrace requests are accepted of the tracing thread alone,
// and all that work reads can change under it, at any instruction); an object with a state machine
// per request (loops within loops turned inside out, one by one).
//
// Between two pieces everything may change: threads and processes end, points are removed. Work
// therefore keeps ids and values over a pause, never a pointer into the engine. Its parameters are
// taken by value, or must outlive it.
#pragma once

#include <coroutine>
#include <optional>
#include <utility>

namespace stub {

// `co_await Pause{}`: the end of a piece.
struct Pause : std::suspend_always {};

namespace detail {

// Work may wait for other work, to any depth. The outermost knows where the innermost stands.
struct WorkPromise {
  WorkPromise* outermost = this;
  std::coroutine_handle<> standing;  // of the outermost: what goes on at the next step
  std::coroutine_handle<> waiting;   // for this one to be done

  struct Done {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) noexcept {
      const WorkPromise& promise = done.promise();
      if (!promise.waiting) return std::noop_coroutine();
      promise.outermost->standing = promise.waiting;
      return promise.waiting;
    }
    void await_resume() noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  Done final_suspend() noexcept { return {}; }
  void unhandled_exception() { throw; }  // out of step()
};

}  // namespace detail

template <class T>
class [[nodiscard]] Work {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct promise_type : detail::WorkPromise {
    std::optional<T> result;

    Work get_return_object() {
      standing = Handle::from_promise(*this);
      return Work(Handle::from_promise(*this));
    }
    void return_value(T value) { result = std::move(value); }
  };

  Work(Work&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  Work& operator=(Work&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~Work() {
    if (frame_) frame_.destroy();
  }

  // Does one piece. The result with the last one, after which there is no other step.
  std::optional<T> step() {
    frame_.promise().standing.resume();
    return frame_.done() ? std::move(frame_.promise().result) : std::nullopt;
  }

  // `co_await work` in other work: its pieces are pieces of that.
  auto operator co_await() && noexcept { return Awaiter{frame_}; }

 private:
  explicit Work(Handle frame) : frame_(frame) {}

  struct Awaiter {
    Handle inner;
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> outer) noexcept {
      detail::WorkPromise& promise = inner.promise();
      promise.waiting = outer;
      promise.outermost = outer.promise().outermost;
      promise.outermost->standing = inner;
      return inner;
    }
    T await_resume() { return std::move(*inner.promise().result); }
  };

  Handle frame_;
};

// All of it at once, where nothing waits.
template <class T>
T finish(Work<T> work) {
  while (true)
    if (auto result = work.step()) return std::move(*result);
}

}  // namespace stub
