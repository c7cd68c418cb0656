# An object compiled for an instruction set may define nothing that another object could define too: an inline function
# of std or of a shared header, left in an AVX-512 object, may be the copy that the linker keeps for the whole program,
# which then dies on a CPU without AVX-512. So every external symbol must carry the namespace of the instruction set.
# Arguments: NM, ISA, OBJECTS (list).
string(LENGTH "${ISA}" length)
set(own "7incipit7kernels${length}${ISA}")  # incipit::kernels::<isa>, mangled
set(n_symbols 0)
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only --extern-only --format=posix ${object}
    OUTPUT_VARIABLE output RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} failed on ${object}")
  endif()
  string(REGEX MATCHALL "[^\n]+" lines "${output}")
  foreach(line IN LISTS lines)
    math(EXPR n_symbols "${n_symbols} + 1")
    if(NOT line MATCHES "${own}")
      message(SEND_ERROR "${object}: want only symbols of incipit::kernels::${ISA}, found: ${line}")
    endif()
  endforeach()
endforeach()
if(n_symbols EQUAL 0)
  message(FATAL_ERROR "no symbols found in the objects of ${ISA}: the check looks at nothing")
endif()
