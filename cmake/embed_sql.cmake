# SPDX-License-Identifier: Apache-2.0
# cmake -DOUTPUT=FILE -DDIRECTORY=DIR -P embed_sql.cmake: each statement of the directory as a string named after its file.
file(GLOB files ${DIRECTORY}/*.sql)
set(text "// Made from src/store/sql by cmake/embed_sql.cmake.\n#pragma once\n#include <string_view>\n")
string(APPEND text "namespace skep::store::sql {\n")
foreach(path ${files})
  get_filename_component(name ${path} NAME_WE)
  file(READ ${path} statement)
  string(APPEND text "inline constexpr std::string_view ${name} = R\"sql(${statement})sql\";\n")
endforeach()
string(APPEND text "}  // namespace skep::store::sql\n")
file(WRITE ${OUTPUT} "${text}")
