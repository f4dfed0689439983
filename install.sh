#!/bin/sh
# Builds claude-code-daemon from this clone and installs it for this user, without sudo.
# `./install.sh --help` says the rest. Nothing runs before the last line: a truncated copy does nothing.

BUN_VERSION=1.4.5

# Where releases are downloaded from; `bun run release --url` writes it into the copy that is published.
RELEASE_URL=

# The claude that the tests run with; it keeps itself up to date afterwards.
CLAUDE_VERSION=2.1.330

usage() {
  cat <<'USAGE'
Usage: ./install.sh [--no-claude] [--no-service]
       ./install.sh --uninstall | --print-bun | --help

Builds claude-code-daemon from this clone and installs it for you alone, without sudo:
fetches the pinned Bun if there is none, builds the single binary, puts it where your
programs are, installs claude from npm if it is missing, has the installed binary answer
one request, and makes it a service of yours (systemd or launchd) where there is such a
manager. Running it again is safe, and updates all of it.

  --no-claude   do not install claude where it is missing
  --no-service  do not install the service; one that is there stays as it is
  --uninstall   remove service, binary and build cache; your config and sessions stay
  --print-bun   print the path of the pinned Bun (fetched and verified if there is none)
  --help        this text

Environment:
  CLAUDE_CODE_DAEMON_INSTALL_DIR  where the binary goes
                                  (default $XDG_BIN_HOME, else ~/.local/bin)
  CLAUDE_CODE_DAEMON_CLAUDE       the claude to use instead of looking for one
  CLAUDE_CODE_DAEMON_BUN          the Bun to use instead of looking for one
  CLAUDE_CODE_DAEMON_REGISTRY     npm registry for downloads without npm
                                  (default https://registry.npmjs.org)
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
  found=$(sha512_of "$4")
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

# The main job needs claude. By npm where it is there, else by the Bun we have; both link it into ~/.local/bin.
install_claude() {
  say "claude is not installed. Installing @anthropic-ai/claude-code $CLAUDE_VERSION from npm for you, in ~/.local …"
  claude_package=@anthropic-ai/claude-code@$CLAUDE_VERSION
  if have npm; then
    scratch
    if npm install --global --prefix "$HOME/.local" --no-fund --no-audit "$claude_package" >"$SCRATCH/npm.log" 2>&1 &&
      "$HOME/.local/bin/claude" --version >/dev/null 2>&1; then
      find_claude
      return
    fi
    # npm may be told not to run install scripts, and then leaves a placeholder.
    say "npm did not install a claude that runs; trying with Bun. npm said:"
    sed 's/^/  /' "$SCRATCH/npm.log" >&2
    npm uninstall --global --prefix "$HOME/.local" @anthropic-ai/claude-code >/dev/null 2>&1 || true
  fi
  BUN_INSTALL_BIN=$HOME/.local/bin BUN_INSTALL_GLOBAL_DIR=$HOME/.local/share/claude-code BUN_INSTALL_CACHE_DIR=$CACHE/packages \
    "$BUN" install --global --ignore-scripts "$claude_package" >&2 || fail "claude could not be installed; see https://code.claude.com/docs/en/setup, or run again with --no-claude"
  "$HOME/.local/bin/claude" --version >/dev/null || fail "the installed claude does not run"
  find_claude
}

# Builds in a private copy of the sources: the clone and its node_modules stay as they are.
build() {
  scratch
  source=$SCRATCH/source
  mkdir -p "$source/bin"
  (cd "$HERE" && tar -cf - package.json bun.lock bunfig.toml tsconfig.json src bin/build.ts) | tar -xf - -C "$source"
  version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$source/package.json")
  commit=$(git -C "$HERE" rev-parse --short=12 HEAD 2>/dev/null || true)
  [ -z "$commit" ] || version=$version+$commit
  say "Building claude-code-daemon $version …"
  (
    cd "$source"
    export BUN_INSTALL_CACHE_DIR="$CACHE/packages"
    "$BUN" install --frozen-lockfile --production --ignore-scripts &&
      "$BUN" bin/build.ts --outfile="$SCRATCH/claude-code-daemon" --version="$version"
  ) >"$SCRATCH/build.log" 2>&1 || {
    sed 's/^/  /' "$SCRATCH/build.log" >&2
    fail "the build failed"
  }
  [ "$("$SCRATCH/claude-code-daemon" --version)" = "$version" ] || fail "the built binary does not run on this machine"
}

# Puts the build in place whole, by rename: a running daemon keeps the old file, and nobody ever sees half of one.
put_in_place() {
  PREVIOUS=
  if [ -f "$TARGET" ] && cmp -s "$SCRATCH/claude-code-daemon" "$TARGET"; then
    say "Already installed: $TARGET is this very build."
    return
  fi
  mkdir -p "$INSTALL_DIR"
  cp "$SCRATCH/claude-code-daemon" "$INSTALL_DIR/.claude-code-daemon.new"
  chmod 755 "$INSTALL_DIR/.claude-code-daemon.new"
  if [ -e "$TARGET" ]; then
    PREVIOUS=$INSTALL_DIR/.claude-code-daemon.previous
    ln -f "$TARGET" "$PREVIOUS" 2>/dev/null || cp -p "$TARGET" "$PREVIOUS"
  fi
  mv -f "$INSTALL_DIR/.claude-code-daemon.new" "$TARGET"
  say "Installed $TARGET ($version)."
}

roll_back() {
  if [ -n "$PREVIOUS" ]; then
    mv -f "$PREVIOUS" "$TARGET"
    fail "the new build does not answer; the one that was installed before is back"
  fi
  fail "the installed binary does not answer (it stays at $TARGET)"
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

install() {
  [ -f "$HERE/src/main.ts" ] || fail "this must be run from a clone of the repository, as ./install.sh"
  [ "$(id -u)" != 0 ] || say "Running as root: installing for root alone ($INSTALL_DIR)."
  find_bun
  build
  put_in_place
  if find_claude; then
    say "claude is $CLAUDE."
  elif [ "$1" = with-claude ]; then
    install_claude
  else
    say "claude is not installed, and --no-claude was given. The daemon needs it; get it with:"
    say "  npm install --global @anthropic-ai/claude-code"
    say "Without it no request can be answered, so the install was not proven."
    path_hint
    return
  fi
  CLAUDE_CODE_DAEMON_CLAUDE=$CLAUDE "$BUN" "$HERE/bin/prove.ts" "$TARGET" >&2 || roll_back
  SERVICE=no
  [ "$2" = without-service ] || install_service
  if [ -n "$PREVIOUS" ]; then
    rm -f "$PREVIOUS"
    [ $SERVICE = yes ] || say "A daemon that is running keeps its old build until it is started again."
  fi
  path_hint
  [ $SERVICE = yes ] || say "Start it in the directory that Claude Code is to work in: claude-code-daemon start"
}

# The command knows whether a manager answers (69: none does), and restarts a service that is there.
install_service() {
  code=0
  "$TARGET" service install >&2 || code=$?
  case $code in
    0) SERVICE=yes ;;
    69) say "So there is no service; everything else is in place." ;;
    *)
      [ -z "$PREVIOUS" ] || rm -f "$PREVIOUS"
      fail "$TARGET is installed and works, but its service does not run (above is why). ./install.sh --no-service leaves it out"
      ;;
  esac
}

# The files of the service, where no manager answers that would remove them.
service_files() {
  case ${XDG_CONFIG_HOME:-} in /*) config=$XDG_CONFIG_HOME ;; *) config=$HOME/.config ;; esac
  printf '%s\n' "$config/systemd/user/claude-code-daemon.service" \
    "$config/systemd/user/default.target.wants/claude-code-daemon.service" "$config/claude-code-daemon/service.env" \
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
  for path in "$TARGET" "$INSTALL_DIR/.claude-code-daemon.new" "$INSTALL_DIR/.claude-code-daemon.previous"; do
    if [ -e "$path" ]; then
      rm -f "$path"
      say "Removed $path."
      removed=yes
    fi
  done
  if [ -d "$CACHE" ]; then
    rm -rf "$CACHE"
    say "Removed $CACHE (build cache)."
    removed=yes
  fi
  [ $removed = yes ] || say "Nothing is installed in $INSTALL_DIR."
  state=${XDG_STATE_HOME:-$HOME/.local/state}/claude-code-daemon
  [ "$(uname -s)" != Darwin ] || [ -n "${XDG_STATE_HOME:-}" ] || state="$HOME/Library/Application Support/claude-code-daemon"
  for path in "${XDG_CONFIG_HOME:-$HOME/.config}/claude-code-daemon" "$state"; do
    [ ! -e "$path" ] || say "Left in place: $path"
  done
  say "claude itself was not touched. A daemon that is running goes on until it is stopped."
}

main() {
  set -eu
  umask 022
  [ -n "${HOME:-}" ] || fail "HOME is not set; set it to your home directory"
  case $HOME in /*) ;; *) fail "HOME must be an absolute path" ;; esac
  action=install
  claude=with-claude
  service=with-service
  for argument in "$@"; do
    case $argument in
      --no-claude) claude=without-claude ;;
      --no-service) service=without-service ;;
      --uninstall | --print-bun | --help) action=${argument#--} ;;
      -h) action=help ;;
      *)
        say "install.sh: unknown argument: $argument"
        usage >&2
        exit 64
        ;;
    esac
  done
  HERE=$(cd "$(dirname "$0")" && pwd)
  # Bun and Node bring a list of authorities of their own; a company's proxy is known to the system's.
  export NODE_USE_SYSTEM_CA="${NODE_USE_SYSTEM_CA:-1}"
  # XDG says that relative values are to be ignored.
  case ${XDG_CACHE_HOME:-} in /*) CACHE=$XDG_CACHE_HOME ;; *) CACHE=$HOME/.cache ;; esac
  CACHE=$CACHE/claude-code-daemon
  INSTALL_DIR=${CLAUDE_CODE_DAEMON_INSTALL_DIR:-${XDG_BIN_HOME:-$HOME/.local/bin}}
  case $INSTALL_DIR in /*) ;; *) fail "the directory to install to must be an absolute path: $INSTALL_DIR" ;; esac
  TARGET=$INSTALL_DIR/claude-code-daemon
  case $action in
    install) install "$claude" "$service" ;;
    uninstall) uninstall ;;
    print-bun)
      find_bun
      printf '%s\n' "$BUN"
      ;;
    help) usage ;;
  esac
}

{
  main "$@"
  exit $?
}
