#!/bin/sh
# Installs claude-code-daemon for this user, without sudo: built from the clone that this file is in, or from a release.
# `./install.sh --help` says the rest. Nothing runs before the last line: a truncated copy does nothing.
# Over 300 lines: it is fetched and piped into a shell on machines that have nothing else of ours, so it is one file.

BUN_VERSION=1.4.5

# Where releases are downloaded from; `bun run release --url` writes it into the copy that is published.
RELEASE_URL=

# The claude that the tests run with; it keeps itself up to date afterwards.
CLAUDE_VERSION=2.1.330

usage() {
  cat <<'USAGE'
Usage: ./install.sh [--from DIRECTORY_OR_URL] [--version X.Y.Z]
                    [--no-claude] [--no-service] [--allow-root]
       ./install.sh --uninstall [--purge]
       ./install.sh --print-bun | --print-target | --help

Installs claude-code-daemon for you alone, without sudo: builds the single binary in a
clone of the repository (with the pinned Bun, fetched if there is none), or takes it from
a release, checksum verified. Puts it where your programs are, with completions for your
shells, installs claude from npm if it is missing, has the installed binary answer one
request, and makes it a service of yours (systemd or launchd) where there is such a
manager. Running it again is safe: it updates all of it, and puts the version that was
there before back if the new one does not answer.

  --from PLACE   install the release in this directory or at this https:// address
  --version V    install this version of the release; older ones too
  --no-claude    do not install claude where it is missing
  --no-service   do not install the service; one that is there stays as it is
  --allow-root   install for root, which is refused otherwise
  --uninstall    remove service, binary, completions and build cache; your config and
                 sessions stay
  --purge        with --uninstall: remove config and sessions too
  --print-bun    print the path of the pinned Bun (fetched and verified if there is none)
  --print-target print which of a release's platforms this machine is
  --help         this text

Environment:
  CLAUDE_CODE_DAEMON_RELEASE_URL    as --from
  CLAUDE_CODE_DAEMON_VERSION        as --version
  CLAUDE_CODE_DAEMON_INSTALL_DIR    where the binary goes
                                    (default $XDG_BIN_HOME, else ~/.local/bin)
  CLAUDE_CODE_DAEMON_TARGET         the platform, if it is recognised wrongly
  CLAUDE_CODE_DAEMON_CLAUDE         the claude to use instead of looking for one
  CLAUDE_CODE_DAEMON_BUN            the Bun to use instead of looking for one
  CLAUDE_CODE_DAEMON_REGISTRY       npm registry for downloads without npm
                                    (default https://registry.npmjs.org)
  CLAUDE_CODE_DAEMON_PROOF_SECONDS  how long the installed binary may take to start
                                    (default 30)
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

# However the script ends: nothing temporary is left, and no build in place that has not answered yet.
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  if [ -n "$PREVIOUS" ]; then
    mv -f "$PREVIOUS" "$TARGET" && say "Not finished: the version that was installed before is back."
  fi
  rm -rf "$SCRATCH" "$INCOMING" "$INCOMING.previous"
  [ -z "$LOCK" ] || rm -f "$LOCK"
}

# One temporary directory for everything.
scratch() {
  if [ -z "$SCRATCH" ]; then
    SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/claude-code-daemon-install.XXXXXX") || fail "no temporary directory could be made"
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
  fi
}

# Whether programs here are linked with musl. A glibc system may carry a musl loader too: ldd knows, else its own loader.
is_musl() {
  if have ldd; then
    # musl's prints its name and ends with 1 here.
    case $(ldd --version 2>&1 || true) in *musl*) return 0 ;; *GLIBC* | *GNU* | *glibc*) return 1 ;; esac
  fi
  for loader in /lib64/ld-linux-* /lib/ld-linux-*; do
    [ ! -e "$loader" ] || return 1
  done
  for loader in /lib/ld-musl-*; do
    [ ! -e "$loader" ] || return 0
  done
  return 1
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
      if is_musl; then libc=-musl; fi
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

# Whether an x64 processor lacks what Bun's ordinary build may use.
lacks_avx2() {
  case $1 in
    linux-*) [ -r /proc/cpuinfo ] && ! grep -q avx2 /proc/cpuinfo ;;
    *) [ "$(sysctl -n hw.optional.avx2_0 2>/dev/null || echo 1)" = 0 ] ;;
  esac
}

# The platform as releases name it, e.g. linux-arm64-musl, macos-x64-baseline.
release_target() {
  if [ -n "${CLAUDE_CODE_DAEMON_TARGET:-}" ]; then
    echo "$CLAUDE_CODE_DAEMON_TARGET"
    return
  fi
  runtime=$(platform) || exit 1
  baseline=
  case $runtime in *-x64*) if lacks_avx2 "$runtime"; then baseline=-baseline; fi ;; esac
  echo "$runtime$baseline" | sed -e 's/^darwin/macos/' -e 's/-aarch64/-arm64/'
}

# checksum_of BITS FILE, by whatever tool there is.
checksum_of() {
  if have "sha$1sum"; then
    "sha$1sum" "$2"
  elif have shasum; then
    shasum -a "$1" "$2"
  elif have openssl; then
    openssl dgst "-sha$1" -r "$2"
  else
    fail "sha$1sum, shasum or openssl is needed to verify downloads; install one of them"
  fi | cut -d ' ' -f 1
}

# Without TLS only from this machine. A transfer that stands still for half a minute is given up.
download() {
  if have curl; then
    case $1 in https://*) protocol='=https' ;; *) protocol='=http' ;; esac
    curl --proto "$protocol" --tlsv1.2 -fsSL --retry 3 --connect-timeout 30 --speed-limit 1000 --speed-time 30 -o "$2" "$1"
  elif have wget; then
    # Debian's busybox crashes at the -T that it does not know.
    case $(wget --help 2>&1) in
      *-T*) wget -q -T 30 -O "$2" "$1" ;;
      *) wget -q -O "$2" "$1" ;;
    esac
  else
    say "Neither curl nor wget is here to download $1 with."
    return 1
  fi
}

# npm without a cache of the user's leaves none behind.
run_npm() {
  if [ -d "$HOME/.npm" ]; then npm "$@"; else npm_config_cache=$SCRATCH/npm npm "$@"; fi
}

# fetch_package NAME VERSION SHA512 FILE: a package's tarball, by npm (which knows the user's registry and proxy) or else
# directly; never used unless its checksum is the pinned one.
fetch_package() {
  registry=${CLAUDE_CODE_DAEMON_REGISTRY:-https://registry.npmjs.org}
  scratch
  mkdir -p "$SCRATCH/pack"
  fetched=no
  if have npm; then
    if (cd "$SCRATCH/pack" && run_npm pack --silent "$1@$2" >/dev/null 2>"$SCRATCH/npm.log"); then
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
    have npm || have curl || have wget || fail "Neither npm, curl nor wget is here to download $1@$2 with"
    download "$registry/$1/-/${1##*/}-$2.tgz" "$4" || fail "$1@$2 could not be downloaded from $registry"
  fi
  found=$(checksum_of 512 "$4")
  [ -n "$found" ] || exit 1
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
  cache=$CACHE/bun-$BUN_VERSION
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

# The daemon would refuse it too, but only once it is in place.
check_named_claude() {
  case ${CLAUDE_CODE_DAEMON_CLAUDE:-} in
    '') ;;
    /*) [ -x "$CLAUDE_CODE_DAEMON_CLAUDE" ] || fail "CLAUDE_CODE_DAEMON_CLAUDE=$CLAUDE_CODE_DAEMON_CLAUDE is no program" ;;
    *) fail "CLAUDE_CODE_DAEMON_CLAUDE must be an absolute path, not $CLAUDE_CODE_DAEMON_CLAUDE" ;;
  esac
}

# Where the daemon looks too, the most usual places.
find_claude() {
  for CLAUDE in "${CLAUDE_CODE_DAEMON_CLAUDE:-}" "$(command -v claude 2>/dev/null || true)" "$HOME/.local/bin/claude" \
    "$HOME/.claude/local/claude" "$HOME/.bun/bin/claude" "$HOME/.npm-global/bin/claude" "$HOME/.volta/bin/claude" \
    "$HOME"/.nvm/versions/node/*/bin/claude /opt/homebrew/bin/claude /usr/local/bin/claude; do
    case $CLAUDE in /*) if [ -x "$CLAUDE" ]; then return 0; fi ;; esac
  done
  CLAUDE=
  return 1
}

# The installed binary as the Bun that it carries: what a release is proven with where there is no other.
as_bun() { (cd "$SCRATCH" && BUN_BE_BUN=1 "$TARGET" "$@"); }

# The main job needs claude. By npm where it is there, else by the Bun we have; both link it into ~/.local/bin.
install_claude() {
  say "claude is not installed. Installing @anthropic-ai/claude-code $CLAUDE_VERSION from npm for you, in ~/.local …"
  claude_package=@anthropic-ai/claude-code@$CLAUDE_VERSION
  if have npm; then
    scratch
    if run_npm install --global --prefix "$HOME/.local" --no-fund --no-audit "$claude_package" >"$SCRATCH/npm.log" 2>&1 &&
      "$HOME/.local/bin/claude" --version >/dev/null 2>&1; then
      find_claude
      return
    fi
    # npm may be told not to run install scripts, and then leaves a placeholder.
    say "npm did not install a claude that runs; trying with Bun. npm said:"
    sed 's/^/  /' "$SCRATCH/npm.log" >&2
    run_npm uninstall --global --prefix "$HOME/.local" @anthropic-ai/claude-code >/dev/null 2>&1 || true
  fi
  BUN_INSTALL_BIN=$HOME/.local/bin BUN_INSTALL_GLOBAL_DIR=$HOME/.local/share/claude-code BUN_INSTALL_CACHE_DIR=$SCRATCH/packages \
    as_bun install --global --ignore-scripts "$claude_package" >&2 || fail "claude could not be installed; see https://code.claude.com/docs/en/setup, or run again with --no-claude"
  "$HOME/.local/bin/claude" --version >/dev/null || fail "the installed claude does not run"
  find_claude
}

# Builds in a private copy of the sources: the clone and its node_modules stay as they are.
build() {
  scratch
  source=$SCRATCH/source
  mkdir -p "$source/bin"
  (cd "$HERE" && tar -cf - package.json bun.lock bunfig.toml tsconfig.json src bin/build.ts bin/mach-o.ts) | tar -xf - -C "$source"
  version=$(clone_version)
  commit=$(git -C "$HERE" rev-parse --short=12 HEAD 2>/dev/null || true)
  [ -z "$commit" ] || version=$version+$commit
  say "Building claude-code-daemon $version …"
  (
    cd "$source"
    export BUN_INSTALL_CACHE_DIR="$SCRATCH/packages"
    "$BUN" install --frozen-lockfile --production --ignore-scripts &&
      "$BUN" bin/build.ts --outfile="$SCRATCH/claude-code-daemon" --version="$version"
  ) >"$SCRATCH/build.log" 2>&1 || {
    sed 's/^/  /' "$SCRATCH/build.log" >&2
    fail "the build failed"
  }
  [ "$("$SCRATCH/claude-code-daemon" --version)" = "$version" ] || fail "the built binary does not run on this machine"
}

# Sets RELEASE from --from: a directory, or an address without its last slash.
locate_release() {
  RELEASE=${1%/}
  case $RELEASE in
    https://* | http://127.0.0.1[:/]* | http://localhost[:/]*) return ;;
    file:///*) RELEASE=${RELEASE#file://} ;;
    *://*) fail "$RELEASE: a release is fetched from https://, or is a directory" ;;
  esac
  [ -d "$RELEASE" ] || fail "$RELEASE: there is no such directory with a release"
  RELEASE=$(cd "$RELEASE" && pwd)
}

# fetch_release NAME: a file of the release, as $SCRATCH/NAME.
fetch_release() {
  case $RELEASE in
    /*) [ -f "$RELEASE/$1" ] && cp "$RELEASE/$1" "$SCRATCH/$1" ;;
    *) download "$RELEASE/$1" "$SCRATCH/$1" ;;
  esac || fail "$RELEASE/$1 could not be had; nothing was changed"
}

# The versions of the release that are there for the target, newest first, those before a version last.
release_versions() {
  for pattern in '[0-9][0-9.]*' '[0-9][0-9.]*-[0-9A-Za-z.]*'; do
    sed -n "s/^[0-9a-f]*  claude-code-daemon-\($pattern\)-$1\.tar\.gz\$/\1/p" "$SCRATCH/SHA256SUMS" |
      sort -t . -k 1,1nr -k 2,2nr -k 3,3nr
  done
}

# Takes the binary from a release. It counts only with the checksum that the release lists for it.
unpack_release() {
  scratch
  target=$(release_target) || exit 1
  case $target in '' | *[!0-9a-z-]*) fail "CLAUDE_CODE_DAEMON_TARGET=$target is no platform" ;; esac
  fetch_release SHA256SUMS
  versions=$(release_versions "$target")
  version=${WANTED:-$(printf '%s\n' "$versions" | head -n 1)}
  [ -n "$version" ] || fail "$RELEASE has nothing for $target; nothing was changed"
  printf '%s\n' "$versions" | grep -Fqx -e "$version" ||
    fail "$RELEASE has no version $version for $target. It has: $(printf '%s' "${versions:-nothing}" | tr '\n' ' ')"
  unpacked=claude-code-daemon-$version-$target
  pinned=$(sed -n "s/^\([0-9a-f]*\)  $unpacked\.tar\.gz\$/\1/p" "$SCRATCH/SHA256SUMS")
  [ ${#pinned} = 64 ] || fail "$RELEASE/SHA256SUMS is not what it should be; nothing was changed"
  say "Fetching claude-code-daemon $version for $target …"
  fetch_release "$unpacked.tar.gz"
  found=$(checksum_of 256 "$SCRATCH/$unpacked.tar.gz")
  [ -n "$found" ] || exit 1
  [ "$found" = "$pinned" ] || fail "$unpacked.tar.gz: the checksum is $found, not $pinned as the release says; nothing was changed"
  tar -xzf "$SCRATCH/$unpacked.tar.gz" -C "$SCRATCH" || fail "$unpacked.tar.gz could not be unpacked; nothing was changed"
  mv "$SCRATCH/$unpacked/claude-code-daemon" "$SCRATCH/claude-code-daemon"
  PROOF=$SCRATCH/$unpacked/prove.ts
  [ "$("$SCRATCH/claude-code-daemon" --version 2>"$SCRATCH/run.log")" = "$version" ] || {
    sed 's/^/  /' "$SCRATCH/run.log" >&2
    case $target in *-musl*) say "The musl build needs libstdc++ and libgcc (apk add libstdc++ libgcc)." ;; esac
    fail "the binary for $target does not run on this machine; nothing was changed"
  }
}

# Two at a time would each take the other's build for the one to go back to. A link is made whole or not at all, and says
# whose it is: a run that was killed leaves it, and the next one takes it over.
lock() {
  lock=$INSTALL_DIR/.claude-code-daemon.lock
  mkdir -p "$INSTALL_DIR"
  if [ -h "$lock" ]; then
    holder=$(readlink "$lock")
    if kill -0 "$holder" 2>/dev/null; then
      fail "another install.sh (process $holder) is putting a build in place; run this one when that has ended (if there is none, remove $lock)"
    fi
    rm -f "$lock"
  fi
  ln -s $$ "$lock" || fail "$INSTALL_DIR cannot be written to, or another install.sh was faster; nothing was changed"
  LOCK=$lock
}

# Puts the build in place whole, by rename: a running daemon keeps the old file, and nobody ever sees half of one.
put_in_place() {
  lock
  UNCHANGED=no
  previous=$INSTALL_DIR/.claude-code-daemon.previous
  # Left by a run that was cut off (power, kill -9): what is in place now may never have answered, this one has.
  if [ -e "$previous" ]; then PREVIOUS=$previous; fi
  if [ -f "$TARGET" ] && cmp -s "$SCRATCH/claude-code-daemon" "$TARGET"; then
    UNCHANGED=yes
    say "Already installed: $TARGET is this very build."
    return
  fi
  cp "$SCRATCH/claude-code-daemon" "$INCOMING"
  chmod 755 "$INCOMING"
  if [ -e "$TARGET" ] && [ -z "$PREVIOUS" ]; then
    ln "$TARGET" "$previous" 2>/dev/null || {
      cp -p "$TARGET" "$INCOMING.previous"
      mv -f "$INCOMING.previous" "$previous"
    }
    PREVIOUS=$previous
  fi
  mv -f "$INCOMING" "$TARGET"
  say "Installed $TARGET ($version)."
}

# The version that was there before, whose file is $PREVIOUS.
put_back() {
  mv -f "$PREVIOUS" "$TARGET"
  PREVIOUS=
}

# Lets the installed binary answer a real request, or puts the one before back.
prove() {
  (
    CLAUDE_CODE_DAEMON_CLAUDE=$CLAUDE
    export CLAUDE_CODE_DAEMON_CLAUDE
    as_bun --no-env-file --config=/dev/null "$PROOF" "$TARGET" >&2
  ) && return
  if [ -n "$PREVIOUS" ]; then
    put_back
    fail "the new build does not answer; the one that was installed before is back"
  fi
  fail "the installed binary does not answer (it stays at $TARGET)"
}

# Each shell's own place for a user's completions, where it looks by itself (zsh: where its fpath says).
completion_file() {
  case $1 in
    bash) echo "$DATA/bash-completion/completions/claude-code-daemon" ;;
    zsh) echo "$DATA/zsh/site-functions/_claude-code-daemon" ;;
    fish) echo "$DATA/fish/vendor_completions.d/claude-code-daemon.fish" ;;
  esac
}

# For the shells that are here. Failing leaves a shell without completion, which is no reason to fail the install.
install_completions() {
  completed=
  for shell in bash zsh fish; do
    have "$shell" || continue
    "$TARGET" completion "$shell" >"$SCRATCH/completion" 2>/dev/null || continue
    file=$(completion_file "$shell")
    if mkdir -p "${file%/*}" 2>/dev/null && cp "$SCRATCH/completion" "$file.new" 2>/dev/null && mv -f "$file.new" "$file"; then
      completed="${completed:+$completed, }$shell"
      case $shell:${SHELL:-} in
        zsh:*/zsh) say "For zsh to find the completion, put this before compinit in ~/.zshrc: fpath+=('${file%/*}')" ;;
      esac
    fi
  done
  [ -z "$completed" ] || say "Completion is installed for $completed (in new shells)."
}

path_hint() {
  case :$PATH: in
    *:"$INSTALL_DIR":*) return ;;
  esac
  case ${SHELL:-} in
    */zsh) startup=.zshrc ;;
    */bash) startup=.bashrc ;;
    */fish)
      say "$INSTALL_DIR is not on your PATH. Run: fish_add_path '$INSTALL_DIR'"
      return
      ;;
    *) startup=.profile ;;
  esac
  say "$INSTALL_DIR is not on your PATH. Add this line to ~/$startup:"
  say "  export PATH=\"$INSTALL_DIR:\$PATH\""
}

# In a clone it is built, unless a release is named.
install() {
  if [ "$(id -u)" = 0 ]; then
    [ "$ALLOW_ROOT" = yes ] || fail "run it as the user whose claude is to be used, not as root (--allow-root installs for root alone)"
    say "Running as root: installing for root alone ($INSTALL_DIR)."
  fi
  check_named_claude
  if [ -n "$FROM" ]; then
    locate_release "$FROM"
    unpack_release
  elif [ -n "$HERE" ]; then
    [ -z "$WANTED" ] || [ "$WANTED" = "$(clone_version)" ] ||
      fail "this clone is version $(clone_version); check out $WANTED, or name a release to take it from (--from)"
    find_bun
    build
    PROOF=$HERE/bin/prove.ts
  elif [ -n "$RELEASE_URL" ]; then
    locate_release "$RELEASE_URL"
    unpack_release
  else
    fail "this is no clone of the repository, and no release was named. Clone it and run ./install.sh there, or name the directory or address of a release: --from DIRECTORY_OR_URL"
  fi
  put_in_place
  if find_claude; then
    say "claude is $CLAUDE."
  elif [ "$1" = with-claude ]; then
    install_claude
  else
    say "claude is not installed, and --no-claude was given. The daemon needs it; get it with:"
    say "  npm install --global @anthropic-ai/claude-code"
    say "Without it no request can be answered, so the install was not proven."
    forget_previous
    install_completions
    path_hint
    return
  fi
  prove
  SERVICE=no
  upgraded=$PREVIOUS
  [ "$2" = without-service ] || install_service
  forget_previous
  install_completions
  path_hint
  [ -z "$upgraded" ] || [ $SERVICE = yes ] || say "A daemon that is running keeps its old build until it is started again."
  [ $SERVICE = yes ] || say "Start it in the directory that Claude Code is to work in: claude-code-daemon start"
}

forget_previous() {
  [ -z "$PREVIOUS" ] || rm -f "$PREVIOUS"
  PREVIOUS=
}

# Whether the service runs, and what answers is this version: the file may be newer than what was started from it.
serves() {
  "$TARGET" service status >/dev/null 2>&1 && "$TARGET" status --json 2>/dev/null | grep -Fq "\"version\": \"$version\""
}

# The command knows whether a manager answers (69: none does), restarts a service that is there, and waits for its answer.
install_service() {
  had_service=no
  for path in "$CONFIG/systemd/user/claude-code-daemon.service" "$HOME/Library/LaunchAgents/dev.claude-code-daemon.plist"; do
    if [ -e "$path" ]; then had_service=yes; fi
  done
  # A restart for nothing would interrupt whoever uses it.
  if [ $UNCHANGED:$had_service = yes:yes ] && serves; then
    say "The service runs this build already; it goes on."
    SERVICE=yes
    return
  fi
  code=0
  "$TARGET" service install >&2 || code=$?
  case $code:$had_service:$PREVIOUS in
    0:*) SERVICE=yes ;;
    69:*) say "So there is no service; everything else is in place." ;;
    *:yes:?*)
      put_back
      if "$TARGET" service install >&2; then back="and its service runs again"; else back="but its service does not run either"; fi
      fail "the service does not run with the new build (above is why); the one that was installed before is back, $back"
      ;;
    *)
      forget_previous
      fail "$TARGET is installed and works, but its service does not run (above is why). --no-service leaves it out"
      ;;
  esac
}

# The files of the service, where no manager answers that would remove them.
service_files() {
  printf '%s\n' "$CONFIG/systemd/user/claude-code-daemon.service" \
    "$CONFIG/systemd/user/default.target.wants/claude-code-daemon.service" "$CONFIG/claude-code-daemon/service.env" \
    "$HOME/Library/LaunchAgents/dev.claude-code-daemon.plist"
}

uninstall_service() {
  service_files >"$SCRATCH/service-files"
  found=no
  while IFS= read -r path; do
    if [ -e "$path" ] || [ -h "$path" ]; then found=yes; fi
  done <"$SCRATCH/service-files"
  [ $found = yes ] || return 0
  if [ -x "$TARGET" ] && "$TARGET" service uninstall >&2; then return 0; fi
  while IFS= read -r path; do
    if [ -e "$path" ] || [ -h "$path" ]; then
      rm -f "$path"
      say "Removed $path."
    fi
  done <"$SCRATCH/service-files"
  say "The service could not be stopped from here; if it runs, it ends when you log out."
}

uninstall() {
  removed=no
  scratch
  uninstall_service
  for path in "$TARGET" "$INSTALL_DIR"/.claude-code-daemon.new* "$INSTALL_DIR/.claude-code-daemon.previous" \
    "$INSTALL_DIR/.claude-code-daemon.lock" "$(completion_file bash)" "$(completion_file zsh)" "$(completion_file fish)"; do
    if [ -e "$path" ] || [ -h "$path" ]; then
      rm -f "$path"
      say "Removed $path."
      removed=yes
      # The directories of completions, where nothing else is in them.
      case $path in "$DATA"/*) rmdir "${path%/*}" "$(dirname "${path%/*}")" 2>/dev/null || true ;; esac
    fi
  done
  if [ -d "$CACHE" ]; then
    rm -rf "$CACHE"
    say "Removed $CACHE (build cache)."
    removed=yes
  fi
  [ $removed = yes ] || say "Nothing is installed in $INSTALL_DIR."
  case $(uname -s):${XDG_STATE_HOME:-} in
    *:/*) state=$XDG_STATE_HOME ;;
    Darwin:*) state="$HOME/Library/Application Support" ;;
    *) state=$HOME/.local/state ;;
  esac
  for path in "$CONFIG/claude-code-daemon" "$state/claude-code-daemon" "$HOME/Library/Logs/claude-code-daemon"; do
    if [ ! -e "$path" ]; then
      continue
    elif [ "$PURGE" = yes ]; then
      rm -rf "$path"
      say "Removed $path."
    else
      say "Left in place: $path (--purge removes it)"
    fi
  done
  say "claude itself was not touched. A daemon that is running goes on until it is stopped."
}

clone_version() { sed -n 's/^  "version": "\(.*\)",$/\1/p' "$HERE/package.json"; }

usage_error() {
  say "install.sh: $*"
  usage >&2
  exit 64
}

main() {
  set -eu
  umask 022
  # The caller's environment may have these names for something else, and CDPATH makes cd go elsewhere and print.
  SCRATCH=
  PREVIOUS=
  LOCK=
  unset CDPATH
  [ -n "${HOME:-}" ] || fail "HOME is not set; set it to your home directory"
  case $HOME in /*) ;; *) fail "HOME must be an absolute path" ;; esac
  action=install
  claude=with-claude
  service=with-service
  PURGE=no
  ALLOW_ROOT=no
  FROM=${CLAUDE_CODE_DAEMON_RELEASE_URL:-}
  WANTED=${CLAUDE_CODE_DAEMON_VERSION:-}
  while [ $# -gt 0 ]; do
    case $1 in
      --no-claude) claude=without-claude ;;
      --no-service) service=without-service ;;
      --allow-root) ALLOW_ROOT=yes ;;
      --purge) PURGE=yes ;;
      --from=*) FROM=${1#*=} ;;
      --version=*) WANTED=${1#*=} ;;
      --from | --version)
        [ $# -gt 1 ] || usage_error "$1 needs a value"
        if [ "$1" = --from ]; then FROM=$2; else WANTED=$2; fi
        shift
        ;;
      --uninstall | --print-bun | --print-target | --help) action=${1#--} ;;
      -h) action=help ;;
      *) usage_error "unknown argument: $1" ;;
    esac
    shift
  done
  WANTED=${WANTED#v}
  case $WANTED in *[!0-9A-Za-z.-]*) usage_error "not a version: $WANTED" ;; esac
  [ $PURGE = no ] || [ "$action" = uninstall ] || usage_error "--purge goes with --uninstall"
  # Piped into a shell there is no file, and whatever is in the current directory is not ours to build.
  HERE=
  if [ -f "$0" ]; then
    HERE=$(cd "$(dirname "$0")" && pwd)
    [ -f "$HERE/src/main.ts" ] && [ -f "$HERE/bin/prove.ts" ] || HERE=
  fi
  # Bun keeps what it translates in ~/.bun otherwise.
  export BUN_RUNTIME_TRANSPILER_CACHE_PATH=0
  # Bun and Node bring a list of authorities of their own; a company's proxy is known to the system's.
  export NODE_USE_SYSTEM_CA="${NODE_USE_SYSTEM_CA:-1}"
  # XDG says that relative values are to be ignored.
  case ${XDG_CACHE_HOME:-} in /*) CACHE=$XDG_CACHE_HOME ;; *) CACHE=$HOME/.cache ;; esac
  CACHE=$CACHE/claude-code-daemon
  case ${XDG_CONFIG_HOME:-} in /*) CONFIG=$XDG_CONFIG_HOME ;; *) CONFIG=$HOME/.config ;; esac
  case ${XDG_DATA_HOME:-} in /*) DATA=$XDG_DATA_HOME ;; *) DATA=$HOME/.local/share ;; esac
  INSTALL_DIR=${CLAUDE_CODE_DAEMON_INSTALL_DIR:-${XDG_BIN_HOME:-$HOME/.local/bin}}
  case $INSTALL_DIR in /*) ;; *) fail "the directory to install to must be an absolute path: $INSTALL_DIR" ;; esac
  TARGET=$INSTALL_DIR/claude-code-daemon
  # Beside it, so that a rename puts it in place; another run at the same time has its own.
  INCOMING=$INSTALL_DIR/.claude-code-daemon.new.$$
  case $action in
    install) install "$claude" "$service" ;;
    uninstall) uninstall ;;
    print-bun)
      find_bun
      printf '%s\n' "$BUN"
      ;;
    print-target) release_target ;;
    help) usage ;;
  esac
}

# Piped into a shell, the script is that shell's stdin: no program that is started here may read on in it.
{
  main "$@" </dev/null
  exit $?
}
