# SPDX-License-Identifier: Apache-2.0
# Warnings are errors; sanitizers come from one cache variable.
add_library(skep_options INTERFACE)
target_compile_options(skep_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wunused-result
  -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(skep_options INTERFACE -Wthread-safety -Werror=unused-result -Wno-gnu-zero-variadic-macro-arguments)
else()
  # g++ 12 reports these inside libstdc++ and Boost for correct code (GCC bugs 105329, 105562).
  target_compile_options(skep_options INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
target_include_directories(skep_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(skep_options INTERFACE SKEP_VERSION="${PROJECT_VERSION}")
if(SKEP_SANITIZE)
  target_compile_options(skep_options INTERFACE -fsanitize=${SKEP_SANITIZE} -fno-sanitize-recover=all -g1)
  target_link_options(skep_options INTERFACE -fsanitize=${SKEP_SANITIZE})
endif()
