# Everything comes from Debian packages. Whoever lacks one is told its name, not CMake's view of it.

function(sidestep_require found what package)
  if(NOT ${found})
    message(FATAL_ERROR "${what} was not found: apt-get install ${package} "
                        "(or let cmake/quickstart install everything)")
  endif()
endfunction()

find_package(Threads REQUIRED)

find_package(fmt CONFIG QUIET)
sidestep_require(fmt_FOUND "fmt" libfmt-dev)

find_package(tl-expected CONFIG QUIET)
sidestep_require(tl-expected_FOUND "tl::expected" libexpected-dev)

find_package(zydis CONFIG QUIET)
sidestep_require(zydis_FOUND "Zydis" libzydis-dev)

# Of fmt the headers only: its shared library would bring in the C++ runtime's (see CMakeLists.txt).
add_library(sidestep_fmt ALIAS fmt::fmt-header-only)

# Debian's package of Zydis has no static library; cmake/static makes one.
if(SIDESTEP_STATIC)
  find_library(ZYDIS_STATIC_LIBRARY libZydis.a HINTS ${CMAKE_BINARY_DIR}/zydis)
  if(NOT ZYDIS_STATIC_LIBRARY)
    message(FATAL_ERROR "libZydis.a was not found: run cmake/static, which builds it")
  endif()
  add_library(sidestep_zydis STATIC IMPORTED)
  set_target_properties(sidestep_zydis PROPERTIES
    IMPORTED_LOCATION "${ZYDIS_STATIC_LIBRARY}"
    INTERFACE_COMPILE_DEFINITIONS "ZYDIS_STATIC_BUILD")
else()
  add_library(sidestep_zydis ALIAS Zydis::Zydis)
endif()

find_package(CLI11 CONFIG QUIET)
sidestep_require(CLI11_FOUND "CLI11" libcli11-dev)

# Standalone asio is headers without any CMake or pkg-config file.
find_path(ASIO_INCLUDE_DIR asio.hpp)
mark_as_advanced(ASIO_INCLUDE_DIR)
sidestep_require(ASIO_INCLUDE_DIR "asio (standalone)" libasio-dev)
add_library(asio::asio INTERFACE IMPORTED)
set_target_properties(asio::asio PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES "${ASIO_INCLUDE_DIR}"
  INTERFACE_COMPILE_DEFINITIONS "ASIO_STANDALONE;ASIO_NO_DEPRECATED"
  INTERFACE_LINK_LIBRARIES Threads::Threads)

# Version 2 in Debian 12, version 3 in Debian 13; tests/catch.h hides the difference.
if(BUILD_TESTING)
  find_package(Catch2 CONFIG QUIET)
  sidestep_require(Catch2_FOUND "Catch2" catch2)
endif()
