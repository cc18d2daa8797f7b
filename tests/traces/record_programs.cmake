# The programs that the recording tests run. Plain ones: no sanitizer, whatever the preset, because the shim is preloaded
# into them.
function(record_program name)
  add_executable(${name} record/${name}.c)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_compile_options(${name} PRIVATE -Wall -Wextra -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs
                                         -fno-test-coverage)
  target_link_libraries(${name} PRIVATE Threads::Threads)
endfunction()

foreach(name traced_entries traced_handoff traced_end traced_threads traced_fork traced_time traced_slow traced_tree)
  record_program(${name})
endforeach()

add_executable(traced_static record/traced_end.c)
target_compile_definitions(traced_static PRIVATE _GNU_SOURCE)
target_link_options(traced_static PRIVATE -static)

add_library(bump_malloc SHARED record/bump_malloc.c)
target_compile_options(bump_malloc PRIVATE -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs -fno-test-coverage)
record_program(traced_signal)
target_link_libraries(traced_signal PRIVATE bump_malloc)

mmreplay_test(test_record LIBRARIES record support ARGUMENTS $<TARGET_FILE:mmrecord> ${CMAKE_CURRENT_BINARY_DIR})
add_dependencies(test_record mmrecord traced_entries traced_handoff traced_end traced_threads traced_fork traced_static
                             traced_signal)
target_include_directories(traced_time PRIVATE ${PROJECT_SOURCE_DIR})
add_library(slow_malloc SHARED record/slow_malloc.c)
target_compile_definitions(slow_malloc PRIVATE _GNU_SOURCE)
target_compile_options(slow_malloc PRIVATE -O1 -fno-builtin -fno-sanitize=all -fno-profile-arcs -fno-test-coverage)
target_link_libraries(slow_malloc PRIVATE ${CMAKE_DL_LIBS})
mmreplay_test(test_record_time LIBRARIES record support ARGUMENTS $<TARGET_FILE:mmrecord> ${CMAKE_CURRENT_BINARY_DIR})
add_dependencies(test_record_time mmrecord traced_time traced_slow slow_malloc)
mmreplay_test(test_record_merge LIBRARIES record support)
mmreplay_test(test_record_live LIBRARIES record support)
mmreplay_test(test_record_stage LIBRARIES record support)
mmreplay_test(test_record_tree LIBRARIES record support ARGUMENTS $<TARGET_FILE:mmrecord> ${CMAKE_CURRENT_BINARY_DIR})
add_dependencies(test_record_tree mmrecord traced_tree traced_static)

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
