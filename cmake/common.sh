# Sourced by quickstart and check, which set `root` to the top of the source tree.

step() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "packages are missing and neither root nor sudo is there to install them: $missing"
  fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages PURPOSE...: what cmake/packages lists for these and the machine lacks.
install_packages() {
  command -v dpkg-query >/dev/null || die "this script installs Debian packages; see cmake/packages"
  missing=
  for purpose in "$@"; do
    for package in $(awk -v purpose="$purpose" \
      '!/^#/ { for (i = 2; i <= NF; ++i) if ($i == purpose) print $1 }' "$root/cmake/packages"); do
      installed "$package" || missing="$missing $package"
    done
  done
  missing=$(echo $missing | tr ' ' '\n' | sort -u | tr '\n' ' ')
  if [ -z "${missing% }" ]; then
    echo "nothing is missing"
    return
  fi
  echo "installing $missing"
  as_root apt-get -qq update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
    -o Dpkg::Use-Pty=0 $missing >"$log_directory/apt.log" 2>&1 || {
    tail -n 20 "$log_directory/apt.log" >&2
    die "apt-get could not install them (its log: $log_directory/apt.log)"
  }
}
