// For variants of many alternatives, such as Request.
#pragma once

#include <type_traits>

namespace rsp {

// One visitor of several lambdas.
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;  // clang before 17 deduces no aggregates

template <class T, class... List>
constexpr bool is_one_of = (std::is_same_v<T, List> || ...);

}  // namespace rsp
