# Sourced by the scripts of tools/ and by .ci/run: where the tree is, which Debian packages it needs, how to
# install the missing ones, how to configure a build.  Not a script of its own.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

PACKAGES_BUILD=(build-essential cmake ninja-build ccache pkg-config
  libuv1-dev libhiredis-dev libxxhash-dev libssl-dev libjemalloc-dev liblzf-dev libgtest-dev libgmock-dev)
# redis-cli for the user and as the other half of the README; python3 for tools that are written in it.
PACKAGES_RUN=(redis-tools)
PACKAGES_TEST=(python3 tclsh redis-tools)
PACKAGES_DEV=(clang-format)

say() { printf '%s\n' "$*" >&2; }
die() { say "$1"; exit "${2:-1}"; }

# Runs a command as root.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo -- "$@"
  else return 127
  fi
}

# install_packages NAME...: installs what is missing, quietly; does nothing (and needs no root) if nothing is.
install_packages() {
  local missing=() name
  for name in "$@"; do
    # A package may be provided by another (tclsh by tcl); a command of that name is as good.
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ] &&
       ! { [ "$name" = tclsh ] && command -v tclsh >/dev/null; }; then
      missing+=("$name")
    fi
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  missing=("${missing[@]/#tclsh/tcl}")
  command -v apt-get >/dev/null ||
    die "missing packages: ${missing[*]} (no apt-get here: install them by hand)"
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    die "missing packages; as root: apt-get install ${missing[*]}"
  fi
  say "installing: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! apt_install "${missing[@]}" >"$log" 2>&1; then
    # The usual reason is a list of packages that is old or was never fetched.
    if ! { as_root apt-get -q update && apt_install "${missing[@]}"; } >>"$log" 2>&1; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      die "apt-get could not install: ${missing[*]}"
    fi
  fi
  rm -f "$log"
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install "$@"
}

# Debian's redis-tools holds the server too: one binary that acts by the name it is called by.  So the
# real redis-server can be had without its package, whose service would start by itself.
# Prints the path of a redis-server, or nothing.
find_redis_server() {
  if command -v redis-server; then return; fi
  local check
  check=$(command -v redis-check-rdb) || return 0
  mkdir -p "$ROOT/.quorate/bin"
  ln -sf "$check" "$ROOT/.quorate/bin/redis-server"
  if "$ROOT/.quorate/bin/redis-server" --version 2>/dev/null | grep -q '^Redis server'; then
    printf '%s\n' "$ROOT/.quorate/bin/redis-server"
  fi
}

# configure release|debug: prepares build/ or build-debug/ and sets BUILD_DIR.
configure() {
  local flags=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache
    -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
  case $1 in
    release) BUILD_DIR=$ROOT/build; flags+=(-DCMAKE_BUILD_TYPE=Release) ;;
    debug) BUILD_DIR=$ROOT/build-debug
      flags+=(-DCMAKE_BUILD_TYPE=Debug -DQUORATE_SANITIZE=address,undefined -DCMAKE_CXX_FLAGS=-O1) ;;
    *) die "unknown build '$1' (release or debug)" 2 ;;
  esac
  # A directory that was configured is left to ninja, which configures again when a CMake file changed.
  if [ -f "$BUILD_DIR/build.ninja" ]; then return 0; fi
  local log
  log=$(mktemp)
  if ! cmake -S "$ROOT" -B "$BUILD_DIR" -G Ninja "${flags[@]}" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    die "cmake failed"
  fi
  rm -f "$log"
}

# compile TARGET...: builds in BUILD_DIR; a line a file only on a terminal, errors always.
compile() {
  local jobs
  jobs=$(nproc 2>/dev/null || echo 2)
  if [ -t 2 ]; then ninja -C "$BUILD_DIR" -j "$jobs" "$@" >&2; return; fi
  local log status=0
  log=$(mktemp)
  ninja -C "$BUILD_DIR" -j "$jobs" "$@" >"$log" 2>&1 || status=$?
  if [ $status -ne 0 ]; then cat "$log" >&2; fi
  rm -f "$log"
  return $status
}
