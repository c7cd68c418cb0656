# The few rules every target of ours follows: C++20, includes from the repository root, warnings as errors, the chosen
# sanitizer. Third-party code (grammars) gets none of these.

function(incipit_target target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/incipit>)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wnon-virtual-dtor;-Werror>"
    "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-Wall,-Wextra,-Wshadow;-Werror=all-warnings>")
  get_target_property(unity ${target} UNITY_BUILD)
  if(unity)  # a file's own types are in an included file there, and GCC takes that for a header
    target_compile_options(${target} PRIVATE
      $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>)
  else()  # there a parameter may well have the name of another file's alias
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wshadow>)
  endif()
  incipit_sanitize(${target})
endfunction()

# Sanitizer flags also go to third-party objects that we compile, so that whole-program checks hold.
function(incipit_sanitize target)
  if(INCIPIT_SANITIZE STREQUAL "address")
    # A null pointer that is used faults under AddressSanitizer, with its stack; checking each use before is a tenth of the
    # time that compiling takes. vptr is for casts down a hierarchy, of which we have none.
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize=null,vptr -fno-sanitize-recover=undefined
      -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  elseif(INCIPIT_SANITIZE STREQUAL "thread")
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=thread)
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
  lsp_index_test
  lsp_pipeline_ahead_test
  lsp_rpc_test
  lsp_server_test
  lsp_transport_test
)

# A library that computes: optimised under sanitizers too, where its tests would take several times as long.
function(incipit_computes target)
  if(INCIPIT_SANITIZE)
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# incipit_test(NAME kernels_half_test SOURCES half_test.cpp LIBS kernels_common [LABELS unit] [ALONE]): one ctest case.
# Compiling a test is mostly instantiating gtest's templates, so unit tests share programs (kernels_tests, engine_tests,
# ...) whose sources are compiled many at a time; the case runs the suites of its SOURCES. Under ThreadSanitizer those of
# threads are in programs of their own (kernels_thread_tests, ...), as no others are built. Other labels, and ALONE, have a
# program called NAME.
function(incipit_test)
  cmake_parse_arguments(arg "ALONE" "NAME" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(arg_NAME IN_LIST INCIPIT_THREAD_TESTS)
    list(APPEND arg_LABELS threads)
    list(REMOVE_DUPLICATES arg_LABELS)
  endif()
  set(program ${arg_NAME})
  if("unit" IN_LIST arg_LABELS AND NOT arg_ALONE)
    string(REGEX REPLACE "_.*" "_tests" program ${arg_NAME})
    if("threads" IN_LIST arg_LABELS AND INCIPIT_SANITIZE STREQUAL "thread")
      string(REGEX REPLACE "_.*" "_thread_tests" program ${arg_NAME})
    endif()
  endif()
  if(NOT TARGET ${program})
    incipit_test_program(${program})
    if(NOT program STREQUAL arg_NAME)
      add_test(NAME ${program}_are_all_run
        COMMAND ${program} --gtest_list_tests "--gtest_filter=-$<JOIN:$<TARGET_PROPERTY:${program},INCIPIT_PATTERNS>,:>")
      set_tests_properties(${program}_are_all_run PROPERTIES LABELS "${arg_LABELS}" FAIL_REGULAR_EXPRESSION "\n  [A-Za-z]")
    endif()
  endif()
  list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  target_sources(${program} PRIVATE ${arg_SOURCES})
  target_link_libraries(${program} PRIVATE ${arg_LIBS})
  if(program STREQUAL arg_NAME)
    add_test(NAME ${arg_NAME} COMMAND ${program})
  else()
    incipit_suites_filter(filter ${program} ${arg_SOURCES})
    add_test(NAME ${arg_NAME} COMMAND ${program} --gtest_filter=${filter})
  endif()
  set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 600)
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(incipit_unit_tests ${program})
  endif()
  if("threads" IN_LIST arg_LABELS)
    add_dependencies(incipit_thread_tests ${program})
  endif()
endfunction()

function(incipit_test_program program)
  add_executable(${program})
  set_target_properties(${program} PROPERTIES UNITY_BUILD ON)
  if(NOT CMAKE_UNITY_BUILD)  # otherwise what the preset says
    set_target_properties(${program} PROPERTIES UNITY_BUILD_BATCH_SIZE 8)
  endif()
  incipit_target(${program})
  target_link_libraries(${program} PRIVATE GTest::gmock_main)
  # Compiling a test takes longer than running it; what it tests keeps its own flags.
  target_compile_options(${program} PRIVATE $<$<CONFIG:Release>:-O0>)
  target_compile_definitions(${program} PRIVATE INCIPIT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endfunction()

# The --gtest_filter for the suites of some sources of a shared program. A suite belongs to one case; that no test of the
# program is outside all filters is a case too.
function(incipit_suites_filter result program)
  set(own_patterns)
  foreach(source IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(STRINGS ${source} lines REGEX "^(TEST|TEST_F|TEST_P|TYPED_TEST)\\(")
    foreach(line IN LISTS lines)
      string(REGEX MATCH "^([A-Z_]+)\\(([A-Za-z0-9]+)," matched "${line}")
      if(CMAKE_MATCH_1 STREQUAL "TEST_P")
        list(APPEND own_patterns "*/${CMAKE_MATCH_2}.*")
      elseif(CMAKE_MATCH_1 STREQUAL "TYPED_TEST")
        list(APPEND own_patterns "${CMAKE_MATCH_2}/*")
      else()
        list(APPEND own_patterns "${CMAKE_MATCH_2}.*")
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES own_patterns)
  get_target_property(patterns ${program} INCIPIT_PATTERNS)
  if(NOT patterns)
    set(patterns)
  endif()
  foreach(pattern IN LISTS own_patterns)
    if(pattern IN_LIST patterns)
      message(FATAL_ERROR "${ARGN}: the suite of ${pattern} is in another test case of ${program} too: rename one")
    endif()
  endforeach()
  set_property(TARGET ${program} APPEND PROPERTY INCIPIT_PATTERNS ${own_patterns})
  list(JOIN own_patterns ":" filter)
  if(filter STREQUAL "")
    message(FATAL_ERROR "${ARGN}: no TEST, TEST_F, TEST_P or TYPED_TEST found")
  endif()
  set(${result} ${filter} PARENT_SCOPE)
endfunction()

# incipit_fuzz(NAME fuzz_framer SOURCES framer_fuzz.cpp CORPUS corpus/framer LIBS lsp_rpc engine_base): needs clang and
# AddressSanitizer; its ctest case runs 30 seconds (SECONDS) over the kept corpus. The fuzzer watches the branches of LIBS: in their
# other programs that costs a little and finds nothing.
function(incipit_fuzz)
  cmake_parse_arguments(arg "" "NAME;CORPUS;SECONDS" "SOURCES;LIBS" ${ARGN})
  if(NOT arg_SECONDS)
    set(arg_SECONDS 30)
  endif()
  if(NOT INCIPIT_SANITIZE STREQUAL "address" OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    return()
  endif()
  add_executable(${arg_NAME} ${arg_SOURCES})
  add_dependencies(incipit_fuzz_targets ${arg_NAME})
  incipit_target(${arg_NAME})
  target_link_libraries(${arg_NAME} PRIVATE ${arg_LIBS})
  foreach(watched IN ITEMS ${arg_NAME} ${arg_LIBS})
    target_compile_options(${watched} PRIVATE -fsanitize=fuzzer-no-link)
  endforeach()
  target_link_options(${arg_NAME} PRIVATE -fsanitize=fuzzer)
  target_compile_definitions(${arg_NAME} PRIVATE INCIPIT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # New inputs and crashes go to the build tree; the corpus in the source tree is only read.
  set(found ${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}_found)
  file(MAKE_DIRECTORY ${found})
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} -max_total_time=${arg_SECONDS} -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
    -artifact_prefix=${found}_ ${found} ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS})
  set_tests_properties(${arg_NAME} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
