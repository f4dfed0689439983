#!/bin/sh
# musl-libstdcxx.sh COMPILER PROGRAM DIRECTORY: makes DIRECTORY/libstdc++.so.6 with what PROGRAM, a musl build, asks of it.
#
# Debian has musl's own library, but none of C++ for it. Bun asks for little of C++ (no streams, no locale), and GCC's static
# library has that in a form that needs nothing of glibc but the few names below. For the smoke test on a Debian machine,
# not to be shipped: where people use musl, its libstdc++ is a package.
set -eu
[ $# = 3 ] || {
  echo "Usage: musl-libstdcxx.sh COMPILER PROGRAM DIRECTORY" >&2
  exit 64
}
compiler=$1
program=$2
directory=$3

names() { nm "$@" 2>/dev/null | sed -n 's/^.* [A-Za-z] \([^@ ]*\).*$/\1/p' | LC_ALL=C sort -u; }

mkdir -p "$directory"
library=$("$compiler" -print-file-name=libstdc++.a)
case $library in /*) ;; *)
  echo "$compiler has no static libstdc++" >&2
  exit 1
  ;;
esac
names -D "$program" >"$directory/asked"
names --defined-only "$library" >"$directory/offered"
LC_ALL=C comm -12 "$directory/asked" "$directory/offered" | sed 's/^/-Wl,-u,/' >"$directory/options"

cat >"$directory/missing.cc" <<'CC'
#include <sys/random.h>
extern "C" {
void *__dso_handle __attribute__((visibility("hidden"))) = &__dso_handle;
char __libc_single_threaded = 0;
int pthread_key_create(unsigned *, void (*)(void *));
int __pthread_key_create(unsigned *key, void (*destroy)(void *)) { return pthread_key_create(key, destroy); }
int _dl_find_object(void *, void *) { return -1; }
unsigned long getauxval(unsigned long);
unsigned long __getauxval(unsigned long type) { return getauxval(type); }
unsigned arc4random(void) {
  unsigned value = 0;
  getrandom(&value, sizeof value, 0);
  return value;
}
}
CC
"$compiler" -shared -fPIC -nostdlib -o "$directory/libstdc++.so.6" -Wl,-soname,libstdc++.so.6 "@$directory/options" \
  -Wl,-u,__register_frame_info,-u,__deregister_frame_info "$directory/missing.cc" \
  -Wl,--start-group -l:libstdc++.a -l:libgcc_eh.a -l:libgcc.a -Wl,--end-group
rm -f "$directory/asked" "$directory/offered" "$directory/options" "$directory/missing.cc"
