# The rooms and their order. A room's headers can be found only by the rooms that list it, directly
# or through another: each room is a directory of its own to include from, in which there is a link
# to its folder. So an #include against the order does not compile.

# sidestep_room(TARGET FOLDER [LINKS ...] [PRIVATE ...] [WITHOUT FILE])
#   LINKS    rooms and libraries that its headers and sources use
#   PRIVATE  libraries that its sources alone use
#   WITHOUT  a source that is not part of the library
function(sidestep_room target folder)
  cmake_parse_arguments(room "" "WITHOUT" "LINKS;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cc)
  if(room_WITHOUT)
    list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/${folder}/${room_WITHOUT})
  endif()
  set(includes ${CMAKE_BINARY_DIR}/rooms/${target})
  get_filename_component(parent ${includes}/${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${includes}/${folder} SYMBOLIC)
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC ${includes})
  target_link_libraries(${target} PUBLIC sidestep_flags ${room_LINKS} PRIVATE ${room_PRIVATE})
endfunction()

# protocol and arch see neither each other nor Linux.
sidestep_room(sidestep_protocol protocol LINKS tl::expected PRIVATE sidestep_fmt)
sidestep_room(sidestep_arch arch PRIVATE sidestep_zydis)

sidestep_room(stub_base stub/base LINKS sidestep_protocol sidestep_arch PRIVATE sidestep_fmt)
sidestep_room(stub_kernel stub/kernel LINKS stub_base PRIVATE sidestep_fmt)
sidestep_room(stub_inferior stub/inferior LINKS stub_kernel PRIVATE sidestep_fmt)
sidestep_room(stub_stepping stub/stepping LINKS stub_inferior)
sidestep_room(stub_engine stub/engine LINKS stub_stepping PRIVATE sidestep_fmt)
sidestep_room(stub_inspect stub/inspect LINKS stub_kernel PRIVATE sidestep_fmt)
sidestep_room(stub_hostio stub/hostio LINKS stub_kernel PRIVATE sidestep_fmt)
sidestep_room(stub_launch stub/launch LINKS stub_kernel PRIVATE sidestep_fmt)
sidestep_room(stub_transport stub/transport LINKS stub_kernel PRIVATE sidestep_fmt asio::asio)
sidestep_room(stub_session stub/session
              LINKS stub_engine stub_inspect stub_hostio stub_launch stub_transport
              PRIVATE sidestep_fmt)
sidestep_room(stub_daemon stub/daemon WITHOUT main.cc LINKS stub_session
              PRIVATE sidestep_fmt CLI11::CLI11)

# libthread_db finds its callbacks (proc_service.h) in the program that has loaded it.
target_link_options(stub_inspect INTERFACE "LINKER:--export-dynamic-symbol=ps_*")
target_compile_definitions(stub_inspect PRIVATE SIDESTEP_STATIC=$<BOOL:${SIDESTEP_STATIC}>)
target_compile_definitions(stub_daemon PRIVATE
  SIDESTEP_VERSION="${PROJECT_VERSION}" SIDESTEP_STATIC=$<BOOL:${SIDESTEP_STATIC}>)
