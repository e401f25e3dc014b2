# `cmake --install` and, by CPack, a Debian package: the program, its man page, bash completion, and
# an alternative named gdbserver.
include(GNUInstallDirs)

install(TARGETS sidestep RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Debian's policy wants man pages compressed; -n leaves out the time, so that two builds are alike.
find_program(GZIP gzip REQUIRED)
add_custom_command(OUTPUT sidestep.1.gz
  COMMAND ${GZIP} -9nc ${PROJECT_SOURCE_DIR}/cmake/packaging/sidestep.1 > sidestep.1.gz
  DEPENDS ${PROJECT_SOURCE_DIR}/cmake/packaging/sidestep.1 VERBATIM)
add_custom_target(man_page ALL DEPENDS sidestep.1.gz)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sidestep.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES cmake/packaging/sidestep.bash RENAME sidestep
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sidestep)
install(FILES LICENSE RENAME copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sidestep)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "sidestep maintainers <maintainers@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "remote server for GDB and LLDB, in place of gdbserver")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Debugs programs on Linux x86-64 for a GDB or LLDB that may be elsewhere.
 Breakpoints are stepped over out of line: a thread that hits one never stops another thread.")
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${PROJECT_SOURCE_DIR}/cmake/packaging/postinst;${PROJECT_SOURCE_DIR}/cmake/packaging/prerm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
