# SPDX-License-Identifier: Apache-2.0
# skep_npm_modules(DIRECTORY STAMP): what DIRECTORY/package-lock.json lists comes to node_modules of the current build
# directory; the variable STAMP names a file that is there when it is done. Also run by itself: cmake -P.
if(CMAKE_SCRIPT_MODE_FILE)
  foreach(name package.json package-lock.json .npmrc)
    configure_file(${SOURCE}/${name} ${TARGET}/${name} COPYONLY)
  endforeach()
  # No scripts of packages are run. Soon given up: who has no network is to be told at once.
  execute_process(
    COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-retries=1 --fetch-retry-mintimeout=1000
      --fetch-retry-maxtimeout=2000 --fetch-timeout=60000
    WORKING_DIRECTORY ${TARGET}
    OUTPUT_FILE ${TARGET}/npm.log ERROR_FILE ${TARGET}/npm.log
    RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "npm could not fetch the packages of ${SOURCE}/package-lock.json, which wants a network the first \
time (its words are in ${TARGET}/npm.log): connect and build again, or configure with -DSKEP_PAGE=OFF for a skep without \
its page")
  endif()
  file(TOUCH ${STAMP})
  return()
endif()

find_program(SKEP_NODE NAMES node nodejs)
find_program(SKEP_NPM npm)
if(NOT SKEP_NODE OR NOT SKEP_NPM)
  message(FATAL_ERROR "the page at / is built with node (18 or newer) and npm, and they are not both here: install them \
(./dev deps build does), or configure with -DSKEP_PAGE=OFF for a skep without its page")
endif()

function(skep_npm_modules directory stamp)
  set(file ${CMAKE_CURRENT_BINARY_DIR}/node_modules.stamp)
  add_custom_command(OUTPUT ${file}
    COMMAND ${CMAKE_COMMAND} -DNPM=${SKEP_NPM} -DSOURCE=${directory} -DTARGET=${CMAKE_CURRENT_BINARY_DIR} -DSTAMP=${file}
      -P ${CMAKE_SOURCE_DIR}/cmake/npm.cmake
    DEPENDS ${directory}/package.json ${directory}/package-lock.json ${directory}/.npmrc ${CMAKE_SOURCE_DIR}/cmake/npm.cmake
    COMMENT "npm ci for ${directory}"
    VERBATIM)
  set(${stamp} ${file} PARENT_SCOPE)
endfunction()
