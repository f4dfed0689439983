#!/bin/sh
# Builds claude-code-daemon from this clone and installs it for this user, without sudo.
# `./install.sh --help` says the rest. Nothing runs before the last line: a truncated copy does nothing.

BUN_VERSION=1.4.5

usage() {
  cat <<'USAGE'
Usage: ./install.sh [--print-bun] [--help]

  --print-bun   print the path of the pinned Bun (fetched and verified if there is none) and stop
  --help        this text

Environment:
  CLAUDE_CODE_DAEMON_BUN       a Bun to use instead of looking for one; must be the pinned version
  CLAUDE_CODE_DAEMON_REGISTRY  npm registry for downloads without npm (default https://registry.npmjs.org)
USAGE
}

# sha512 of the npm package @oven/bun-<platform> at BUN_VERSION: the registry's `integrity`, as hex.
bun_sha512() {
  case $1 in
    linux-x64) echo 2165fd0442e8187014b4ca2791e49a35a6705f3464fa80f0e8c93e1c115777728760804d06c20646ea4c64f7203680db2692eeea00098c8a0854f66db75689d6 ;;
    linux-x64-musl) echo d744285bf61f4e09d445a184687a490a25e32c8d9ee624ed7d50da03924a73253369ad5caba715518f7f52ae57918cefb518c72d17bd3a3fe54c3210731cbc1d ;;
    linux-aarch64) echo e015e6b122a78ceae5196a99578c7fa166bb015a11f81ea509775d3333805c1226dede747ac960f706faea09ad5b501a984435975083be69abbb2b0486a39632 ;;
    linux-aarch64-musl) echo 5c235cf96bef30074d35bf8e593a20a72f8df709bad9f91578454b6fa868c34459856e4b3e2e9cec19647950ae5a9b3b5e3125dac685a4715adb4ff513e3c01e ;;
    darwin-x64) echo aa42cf3061d933d348e827874d6c157b3ce6968e9c0b84daef25008d82165d2dfaeaa41c3a5729ef9b76b99ca2b9544130f4b487da84d2d09cbc21c6685aa326 ;;
    darwin-aarch64) echo e0c2055c799cb47d84840c4b5e6dbfab136dbf5edd16d2c9ca5bda382b2b82ae8a4aa1d3b3a796e584ab26345b27161425a47dd357ec37c25f64e6be0ac5a959 ;;
    *) return 1 ;;
  esac
}

# Progress goes to stderr: stdout is for what was asked for.
say() { printf '%s\n' "$*" >&2; }

fail() {
  say "install.sh: $*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# One temporary directory for everything, removed however the script ends.
scratch() {
  if [ -z "${SCRATCH:-}" ]; then
    SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/claude-code-daemon-install.XXXXXX") || fail "no temporary directory could be made"
    trap 'rm -rf "$SCRATCH"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
  fi
}

# The platform in Bun's words, e.g. linux-x64-musl.
platform() {
  os=$(uname -s)
  cpu=$(uname -m)
  case $cpu in
    x86_64 | amd64) cpu=x64 ;;
    aarch64 | arm64) cpu=aarch64 ;;
    *) fail "there is no Bun for the processor $cpu; x64 and arm64 are supported" ;;
  esac
  case $os in
    Linux)
      libc=
      for loader in /lib/ld-musl-*; do
        [ -e "$loader" ] && libc=-musl
      done
      # A glibc system may carry a musl loader too; its own loader decides.
      for loader in /lib64/ld-linux-* /lib/ld-linux-*; do
        [ -e "$loader" ] && libc=
      done
      echo "linux-$cpu$libc"
      ;;
    Darwin)
      # Under Rosetta uname says x86_64 on an arm64 machine.
      [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || echo 0)" = 1 ] && cpu=aarch64
      echo "darwin-$cpu"
      ;;
    *) fail "there is no support for $os; Linux and macOS are supported (on Windows use WSL)" ;;
  esac
}

sha512_of() {
  if have sha512sum; then
    sha512sum "$1"
  elif have shasum; then
    shasum -a 512 "$1"
  elif have openssl; then
    openssl dgst -sha512 -r "$1"
  else
    fail "sha512sum, shasum or openssl is needed to verify downloads; install one of them"
  fi | cut -d ' ' -f 1
}

download() {
  if have curl; then
    curl --proto '=https' --tlsv1.2 -fsSL --retry 3 -o "$2" "$1"
  elif have wget; then
    wget -q -O "$2" "$1"
  else
    say "Neither npm, curl nor wget is here to download $1 with."
    return 1
  fi
}

# fetch_package NAME VERSION SHA512 FILE: a package's tarball, by npm (which knows the user's registry and proxy) or else
# directly; never used unless its checksum is the pinned one.
fetch_package() {
  registry=${CLAUDE_CODE_DAEMON_REGISTRY:-https://registry.npmjs.org}
  scratch
  mkdir -p "$SCRATCH/pack"
  fetched=no
  if have npm; then
    if (cd "$SCRATCH/pack" && npm pack --silent "$1@$2" >/dev/null 2>"$SCRATCH/npm.log"); then
      for packed in "$SCRATCH"/pack/*.tgz; do
        mv "$packed" "$4" && fetched=yes
      done
    else
      say "npm could not fetch $1@$2:"
      sed 's/^/  /' "$SCRATCH/npm.log" >&2
      say "Trying without npm."
    fi
  fi
  if [ $fetched = no ]; then
    download "$registry/$1/-/${1##*/}-$2.tgz" "$4" || fail "$1@$2 could not be downloaded from $registry"
  fi
  found=$(sha512_of "$4") || exit 1
  [ "$found" = "$3" ] || fail "$1@$2: the checksum is $found, not the pinned $3; nothing was installed"
}

is_pinned_bun() { [ -x "$1" ] && [ "$("$1" --version 2>/dev/null)" = "$BUN_VERSION" ]; }

# Sets BUN to a Bun of the pinned version: one that is here, or a fetched one kept in the user's cache.
find_bun() {
  if [ -n "${CLAUDE_CODE_DAEMON_BUN:-}" ]; then
    is_pinned_bun "$CLAUDE_CODE_DAEMON_BUN" || fail "CLAUDE_CODE_DAEMON_BUN=$CLAUDE_CODE_DAEMON_BUN is not Bun $BUN_VERSION"
    BUN=$CLAUDE_CODE_DAEMON_BUN
    return
  fi
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/claude-code-daemon/bun-$BUN_VERSION
  for BUN in "$(command -v bun 2>/dev/null || true)" "${BUN_INSTALL:-$HOME/.bun}/bin/bun" "$cache/bun"; do
    # A function, alias or relative path cannot be handed on.
    case $BUN in /*) if is_pinned_bun "$BUN"; then return; fi ;; esac
  done
  target=$(platform) || exit 1
  sha512=$(bun_sha512 "$target") || fail "there is no pinned Bun for $target"
  say "Fetching Bun $BUN_VERSION for $target (once; kept in $cache) …"
  scratch
  fetch_package "@oven/bun-$target" "$BUN_VERSION" "$sha512" "$SCRATCH/bun.tgz"
  mkdir -p "$cache" "$SCRATCH/bun"
  tar -xzf "$SCRATCH/bun.tgz" -C "$SCRATCH/bun" package/bin/bun || fail "the Bun package could not be unpacked"
  chmod 755 "$SCRATCH/bun/package/bin/bun"
  is_pinned_bun "$SCRATCH/bun/package/bin/bun" || fail "the fetched Bun does not run on this machine"
  # Moved into place whole: a second run at the same time never sees half a file.
  mv "$SCRATCH/bun/package/bin/bun" "$cache/.bun.$$" && mv -f "$cache/.bun.$$" "$cache/bun"
  BUN=$cache/bun
}

main() {
  set -eu
  umask 022
  [ -n "${HOME:-}" ] || fail "HOME is not set; set it to your home directory"
  case ${1:-} in
    --print-bun)
      find_bun
      printf '%s\n' "$BUN"
      ;;
    --help | -h) usage ;;
    *)
      usage >&2
      exit 64
      ;;
  esac
}

{
  main "$@"
  exit $?
}
