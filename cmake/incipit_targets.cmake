# The few rules every target of ours follows: C++20, includes from the repository root, warnings as errors, the chosen
# sanitizer. Third-party code (grammars) gets none of these.

function(incipit_target target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/incipit>)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror)
  incipit_sanitize(${target})
endfunction()

# Sanitizer flags also go to third-party objects that we compile, so that whole-program checks hold.
function(incipit_sanitize target)
  if(INCIPIT_SANITIZE STREQUAL "address")
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  elseif(INCIPIT_SANITIZE STREQUAL "thread")
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=thread)
  elseif(INCIPIT_SANITIZE STREQUAL "fuzzer")
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endif()
endfunction()

# What scripts/test.sh builds under a sanitizer; the functions below add to them.
add_custom_target(incipit_unit_tests)    # AddressSanitizer and UBSan
add_custom_target(incipit_thread_tests)  # ThreadSanitizer
add_custom_target(incipit_fuzz_targets)

# Tests in which several threads meet: label "threads" beside their own.
set(INCIPIT_THREAD_TESTS
  engine_base_test
  engine_fake_engine_test
  engine_loop_test
  engine_test
  engine_tokenizer_test
  kernels_step_invariance_test
  kernels_thread_pool_test
  lsp_completion_pipeline_test
  lsp_rpc_test
  lsp_server_test
  lsp_transport_test
)

# incipit_test(NAME kernels_thread_pool_test SOURCES a_test.cpp LIBS kernels_cpu [LABELS unit]): one gtest binary, one
# ctest case.
function(incipit_test)
  cmake_parse_arguments(arg "" "NAME" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${arg_NAME} ${arg_SOURCES})
  incipit_target(${arg_NAME})
  target_link_libraries(${arg_NAME} PRIVATE ${arg_LIBS} GTest::gmock_main)
  target_compile_definitions(${arg_NAME} PRIVATE INCIPIT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(arg_NAME IN_LIST INCIPIT_THREAD_TESTS)
    list(APPEND arg_LABELS threads)
    list(REMOVE_DUPLICATES arg_LABELS)
  endif()
  set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 600)
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(incipit_unit_tests ${arg_NAME})
  endif()
  if("threads" IN_LIST arg_LABELS)
    add_dependencies(incipit_thread_tests ${arg_NAME})
  endif()
endfunction()

# incipit_fuzz(NAME fuzz_framer SOURCES framer_fuzz.cpp CORPUS corpus/framer LIBS lsp_core): built only by the fuzz
# preset; its ctest case runs 30 seconds over the kept corpus.
function(incipit_fuzz)
  cmake_parse_arguments(arg "" "NAME;CORPUS" "SOURCES;LIBS" ${ARGN})
  if(NOT INCIPIT_SANITIZE STREQUAL "fuzzer")
    return()
  endif()
  add_executable(${arg_NAME} ${arg_SOURCES})
  add_dependencies(incipit_fuzz_targets ${arg_NAME})
  incipit_target(${arg_NAME})
  target_link_libraries(${arg_NAME} PRIVATE ${arg_LIBS})
  target_link_options(${arg_NAME} PRIVATE -fsanitize=fuzzer,address,undefined)
  target_compile_definitions(${arg_NAME} PRIVATE INCIPIT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # New inputs and crashes go to the build tree; the corpus in the source tree is only read.
  set(found ${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}_found)
  file(MAKE_DIRECTORY ${found})
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} -max_total_time=30 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
    -artifact_prefix=${found}_ ${found} ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS})
  set_tests_properties(${arg_NAME} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
