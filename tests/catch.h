// Catch2 v2 (Debian 12) and v3 (Debian 13) differ in their header's name only, as far as we use
// them.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
