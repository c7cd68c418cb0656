# cmake -DROOT=dir -DOUT=file -P pack_calibration.cmake: the text that GPTQ calibrates with when the user names none. It is
# this project's own sources (Apache-2.0), one document a file, each followed by the control character "record separator";
# at most 2 MB, so of the last kind not all. engine/quantize/calibration_text.cpp reads it.
set(limit 2000000)
set(patterns)
foreach(kind  # a bit of every language first
    editors/nvim/*.lua editors/vscode/src/*.ts scripts/*.py tests/e2e/*.py cmake/*.cmake scripts/*.sh tests/*.sh
    kernels/*.cu kernels/*.cuh engine/*.h engine/*.cpp docs/*.md kernels/*.h kernels/*.cpp lsp/*.h lsp/*.cpp)
  list(APPEND patterns "${ROOT}/${kind}")
endforeach()
string(ASCII 30 separator)
set(total 0)
file(WRITE "${OUT}" "")
foreach(pattern IN LISTS patterns)
  file(GLOB_RECURSE files LIST_DIRECTORIES false ${pattern})
  list(FILTER files EXCLUDE REGEX "/(node_modules|golden)/")
  list(SORT files)
  foreach(file IN LISTS files)
    file(SIZE "${file}" size)
    math(EXPR after "${total} + ${size} + 1")
    if(after GREATER limit)
      continue()
    endif()
    set(total ${after})
    file(READ "${file}" document)
    file(APPEND "${OUT}" "${document}${separator}")
  endforeach()
endforeach()
