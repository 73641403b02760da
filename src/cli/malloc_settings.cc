// SPDX-License-Identifier: Apache-2.0
// What jemalloc reads of this program before main() (jemalloc(3), "malloc_conf"); MALLOC_CONF in the
// environment overrides it. Linked only where jemalloc is the malloc.
//
// thp:always        a first touch of memory costs a fault for 2 MiB instead of 4 KiB: bodies come and go in
//                   bulk, and in a virtual machine a fault costs several times what it does elsewhere.
// narenas_ratio:1   one arena for each core instead of four, each of which begins with a large page.

extern "C" const char* malloc_conf;
const char* malloc_conf = "thp:always,narenas_ratio:1";
