# INCIPIT_CUDA: AUTO looks for a CUDA compiler and goes on without one, ON insists on one, OFF does not look. Sets
# INCIPIT_CUDA_COMPILER to the compiler, or to nothing, and CMAKE_CUDA_ARCHITECTURES unless it is set. A compiler is
# looked for where CMake looks (CMAKE_CUDA_COMPILER, CUDACXX, PATH) and in /usr/local/cuda, where NVIDIA's packages put it
# without touching PATH. The caller enables the language: that cannot be done in a function.
function(incipit_find_cuda)
  set(INCIPIT_CUDA_COMPILER "" PARENT_SCOPE)
  string(TOUPPER "${INCIPIT_CUDA}" wanted)
  if(NOT wanted MATCHES "^(AUTO|ON|OFF|1|0|YES|NO|TRUE|FALSE)$")
    message(FATAL_ERROR "INCIPIT_CUDA: want AUTO, ON or OFF, found \"${INCIPIT_CUDA}\"")
  endif()
  if(NOT wanted STREQUAL "AUTO" AND NOT wanted)
    message(STATUS "CUDA: switched off (INCIPIT_CUDA=${INCIPIT_CUDA}), building for the CPU only")
    return()
  endif()
  incipit_working_cuda_compiler(compiler)
  if(compiler)
    set(INCIPIT_CUDA_COMPILER ${compiler} PARENT_SCOPE)
    if(NOT CMAKE_CUDA_ARCHITECTURES)
      incipit_cuda_architectures(${compiler} CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES ${CMAKE_CUDA_ARCHITECTURES} PARENT_SCOPE)
    endif()
    message(STATUS "CUDA: ${compiler}, for architectures ${CMAKE_CUDA_ARCHITECTURES}")
  elseif(wanted STREQUAL "AUTO")
    message(STATUS "CUDA: no compiler found, building for the CPU only")
  else()
    message(FATAL_ERROR "CUDA: INCIPIT_CUDA=${INCIPIT_CUDA}, but no working CUDA compiler was found. "
      "Install the CUDA Toolkit (12 or newer), or name its nvcc by -DCMAKE_CUDA_COMPILER=..., or build for the CPU with "
      "-DINCIPIT_CUDA=OFF. What CMake tried is in ${CMAKE_BINARY_DIR}/CMakeFiles/CMakeError.log.")
  endif()
endfunction()

# The compiler that was named or found, if CMake can compile with it; nothing otherwise. Trying it takes seconds, so that
# is done once for each compiler.
function(incipit_working_cuda_compiler result)
  set(candidate "${CMAKE_CUDA_COMPILER}")
  if(NOT candidate)
    set(candidate "$ENV{CUDACXX}")
  endif()
  if(NOT candidate)
    find_program(found_nvcc nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin PATHS /usr/local/cuda/bin NO_CACHE)
    if(found_nvcc)
      set(candidate ${found_nvcc})
    endif()
  endif()
  set(${result} "" PARENT_SCOPE)
  if(NOT candidate)
    return()
  endif()
  if(NOT candidate STREQUAL "${INCIPIT_CUDA_TRIED}")
    # check_language() believes a CMAKE_CUDA_COMPILER that is set, and tries the one in the environment.
    unset(CMAKE_CUDA_COMPILER CACHE)
    set(ENV{CUDACXX} ${candidate})
    include(CheckLanguage)
    check_language(CUDA)
    set(INCIPIT_CUDA_TRIED ${candidate} CACHE INTERNAL "The CUDA compiler that was tried last")
    set(INCIPIT_CUDA_WORKS ${CMAKE_CUDA_COMPILER} CACHE INTERNAL "That compiler, or NOTFOUND")
  endif()
  if(INCIPIT_CUDA_WORKS)
    set(${result} ${INCIPIT_CUDA_WORKS} PARENT_SCOPE)
  endif()
endfunction()

# From the A100 on (mma.m16n8k16 and cp.async): code for each generation that the toolkit knows, and PTX of the oldest for
# those that come. 90a is the H100, 86 the RTX 30 series.
function(incipit_cuda_architectures compiler result)
  execute_process(COMMAND ${compiler} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  set(wanted 80-real 86-real 89-real 90a-real)
  if(known MATCHES "sm_120")
    list(APPEND wanted 120-real)
  endif()
  set(${result} ${wanted} 80-virtual PARENT_SCOPE)
endfunction()

# For a target of ours with CUDA sources, after incipit_target(): the rules of the C++ compiler stay with C++ sources, and
# CUDA sources are C++20 with nvcc's own warnings as errors. (CMake 3.25 does not know nvcc's C++20.)
function(incipit_cuda_target target)
  get_target_property(options ${target} COMPILE_OPTIONS)
  set_target_properties(${target} PROPERTIES COMPILE_OPTIONS "$<$<COMPILE_LANGUAGE:CXX>:${options}>")
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--Werror=all-warnings;-Xcompiler=-Wall>")
endfunction()
