# The programs that the recording tests run. Plain ones: no sanitizer, whatever the preset, because the shim is preloaded
# into them.
function(record_program name)
  add_executable(${name} record/${name}.c)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_compile_options(${name} PRIVATE -Wall -Wextra -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs
                                         -fno-test-coverage)
  target_link_libraries(${name} PRIVATE Threads::Threads)
endfunction()

foreach(name traced_entries traced_edges traced_handoff traced_end traced_threads traced_fork traced_life traced_locked
             traced_embed traced_time traced_slow traced_tree traced_early traced_unseen)
  record_program(${name})
endforeach()
target_link_libraries(traced_tree PRIVATE util) # forkpty
target_link_libraries(traced_edges PRIVATE ${CMAKE_DL_LIBS})
target_link_libraries(traced_life PRIVATE ${CMAKE_DL_LIBS})
target_link_libraries(traced_embed PRIVATE ${CMAKE_DL_LIBS})
target_include_directories(traced_tree PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(traced_tree PRIVATE ${CMAKE_DL_LIBS} util) # forkpty, before glibc 2.34

add_executable(traced_static record/traced_end.c)
target_compile_definitions(traced_static PRIVATE _GNU_SOURCE)
target_link_options(traced_static PRIVATE -static)

foreach(name bump_malloc raising_malloc traced_plugin)
  add_library(${name} SHARED record/${name}.c)
  target_compile_options(${name} PRIVATE -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs -fno-test-coverage)
endforeach()

# A malloc in the executable itself: seen by everybody, seen by nobody else, and one that wraps glibc's.
foreach(how none exported hidden wraps)
  string(TOUPPER OWN_${how} define)
  add_executable(own_malloc_${how} record/own_malloc.c)
  target_compile_definitions(own_malloc_${how} PRIVATE _GNU_SOURCE ${define})
  target_compile_options(own_malloc_${how} PRIVATE -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs
                                                   -fno-test-coverage)
endforeach()

# Finds the library along its own run path alone.
add_executable(traced_life_runpath record/traced_life.c)
target_compile_definitions(traced_life_runpath PRIVATE _GNU_SOURCE)
target_compile_options(traced_life_runpath PRIVATE -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs
                                                   -fno-test-coverage)
target_link_libraries(traced_life_runpath PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
set_target_properties(traced_life_runpath PROPERTIES BUILD_RPATH "$ORIGIN")

# What passes for a free-threaded interpreter: a program that exports CPython's allocator interface, and its version.
add_executable(odd_free_threaded record/odd_free_threaded.c)
target_compile_options(odd_free_threaded PRIVATE -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs
                                                 -fno-test-coverage)
set_target_properties(odd_free_threaded PROPERTIES ENABLE_EXPORTS TRUE)

# C++, where there is a compiler for it; and once more with each malloc library that is installed linked to it.
include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  function(record_program_cxx name)
    add_executable(${name} record/traced_new.cpp)
    target_compile_features(${name} PRIVATE cxx_std_17)
    target_compile_options(${name} PRIVATE -Wall -Wextra -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs
                                           -fno-test-coverage)
    target_link_libraries(${name} PRIVATE Threads::Threads)
    add_dependencies(test_record_shim ${name})
  endfunction()
endif()

record_program(traced_signal)
target_link_libraries(traced_signal PRIVATE bump_malloc)
record_program(traced_handler)
target_link_libraries(traced_handler PRIVATE raising_malloc)
target_compile_options(traced_handler PRIVATE -Wno-deprecated-declarations) # sigset

add_library(traced STATIC traced.c heard.c)
target_link_libraries(traced PUBLIC record support)

mmreplay_test(test_record LIBRARIES traced ARGUMENTS $<TARGET_FILE:mmrecord> ${CMAKE_CURRENT_BINARY_DIR})
mmreplay_test(test_record_shim LIBRARIES traced
              ARGUMENTS $<TARGET_FILE:mmrecord> ${CMAKE_CURRENT_BINARY_DIR})
add_dependencies(test_record_shim mmrecord traced_edges traced_life traced_locked traced_life_runpath traced_plugin traced_embed
                                  bump_malloc odd_free_threaded traced_handler
                                  own_malloc_none own_malloc_exported own_malloc_hidden own_malloc_wraps)
add_dependencies(test_record mmrecord traced_entries traced_handoff traced_end traced_threads traced_fork traced_static
                             traced_signal traced_early traced_unseen)
target_include_directories(traced_time PRIVATE ${PROJECT_SOURCE_DIR})
target_include_directories(traced_unseen PRIVATE ${PROJECT_SOURCE_DIR})
add_library(slow_malloc SHARED record/slow_malloc.c)
target_compile_definitions(slow_malloc PRIVATE _GNU_SOURCE)
target_compile_options(slow_malloc PRIVATE -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs -fno-test-coverage)
target_link_libraries(slow_malloc PRIVATE ${CMAKE_DL_LIBS})
mmreplay_test(test_record_time LIBRARIES traced ARGUMENTS $<TARGET_FILE:mmrecord> ${CMAKE_CURRENT_BINARY_DIR})
add_dependencies(test_record_time mmrecord traced_time traced_slow slow_malloc)
if(CMAKE_CXX_COMPILER)
  record_program_cxx(traced_new)
  foreach(library jemalloc.so.2 mimalloc.so.2 tcmalloc_minimal.so.4)
    find_library(RECORD_${library} lib${library})
    if(RECORD_${library})
      string(REGEX REPLACE "[_.].*" "" short ${library})
      record_program_cxx(traced_new_${short})
      target_link_options(traced_new_${short} PRIVATE -Wl,--no-as-needed)
      target_link_libraries(traced_new_${short} PRIVATE ${RECORD_${library}})
    endif()
  endforeach()
endif()
mmreplay_test(test_record_merge LIBRARIES traced)
mmreplay_test(test_pointer_map LIBRARIES record support)
mmreplay_test(test_record_cut LIBRARIES record support)
mmreplay_test(test_record_guard LIBRARIES record support)
mmreplay_test(test_record_live LIBRARIES traced)
mmreplay_test(test_record_stage LIBRARIES record support)
mmreplay_test(test_record_tree LIBRARIES traced ARGUMENTS $<TARGET_FILE:mmrecord> ${CMAKE_CURRENT_BINARY_DIR})
add_dependencies(test_record_tree mmrecord traced_tree traced_static bump_malloc)

# The stress: a program twice over, on glibc and on a malloc that reuses addresses at once, and what verifies its traces.
record_program(traced_stress)
add_library(reuse_malloc SHARED record/reuse_malloc.c)
target_compile_definitions(reuse_malloc PRIVATE _GNU_SOURCE)
target_compile_options(reuse_malloc PRIVATE -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs -fno-test-coverage)
add_executable(traced_stress_reuse record/traced_stress.c)
target_compile_definitions(traced_stress_reuse PRIVATE _GNU_SOURCE)
target_compile_options(traced_stress_reuse PRIVATE -Wall -Wextra -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs
                                                     -fno-test-coverage)
target_link_libraries(traced_stress_reuse PRIVATE reuse_malloc Threads::Threads)
add_executable(stress_verify stress_verify.c)
target_link_libraries(stress_verify PRIVATE mmreplay_options formats)
add_test(NAME record_stress
  COMMAND sh -c "command -v python3 >/dev/null || { echo 'skipped: no python3'; exit 77; }; exec python3 \"$@\"" sh
          ${CMAKE_CURRENT_SOURCE_DIR}/stress_record.py $<TARGET_FILE:mmreplay> ${CMAKE_CURRENT_BINARY_DIR} 6)
set_tests_properties(record_stress PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
