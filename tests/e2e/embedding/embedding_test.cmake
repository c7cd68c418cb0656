# Run by ctest; see CMakeLists.txt beside it. Everything it writes lies under WORK_DIR.
set(prefix ${WORK_DIR}/prefix)
set(example ${WORK_DIR}/example)
file(REMOVE_RECURSE ${prefix} ${example})
file(MAKE_DIRECTORY ${example})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nended with ${status}\n${output}\n${errors}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# extract(cpp FILE): the one fenced block of that language in the page.
function(extract language to)
  file(READ ${SOURCE_DIR}/docs/embedding.md page)
  string(FIND "${page}" "```${language}\n" begin)
  if(begin EQUAL -1)
    message(FATAL_ERROR "docs/embedding.md has no ```${language} block")
  endif()
  string(LENGTH "```${language}\n" fence)
  math(EXPR begin "${begin} + ${fence}")
  string(SUBSTRING "${page}" ${begin} -1 rest)
  string(FIND "${rest}" "```" end)
  string(SUBSTRING "${rest}" 0 ${end} block)
  file(WRITE ${to} "${block}")
endfunction()

extract(cpp ${example}/main.cpp)
extract(cmake ${example}/CMakeLists.txt)
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix} --component engine)
run(${CMAKE_COMMAND} -S ${example} -B ${example}/build -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${CXX}
  -DCMAKE_BUILD_TYPE=${BUILD_TYPE} -DCMAKE_PREFIX_PATH=${prefix})
run(${CMAKE_COMMAND} --build ${example}/build)

# By name, from the installed models, with a cache of its own.
set(program ${CMAKE_COMMAND} -E env INCIPIT_MODEL_PATH=${prefix}/share/incipit/models
  XDG_CACHE_HOME=${WORK_DIR}/cache ${example}/build/continue_text)
# The golden prompt "plain_short" (tests/golden/model/pocket.json) and how its greedy continuation begins.
run(${program} pocket "int main(")
string(FIND "${output}" " )\n{\n    int ret = 0;\n    char buf[1024];\n" at)
if(NOT at EQUAL 0)
  message(FATAL_ERROR "want the golden continuation, found: ${output}")
endif()

execute_process(COMMAND ${program} no-such-model text RESULT_VARIABLE status ERROR_VARIABLE errors)
if(NOT status EQUAL 1 OR NOT errors MATCHES "no-such-model")
  message(FATAL_ERROR "a model that is not there: want exit code 1 and its name, found ${status}: ${errors}")
endif()
