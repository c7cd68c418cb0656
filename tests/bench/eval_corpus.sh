#!/usr/bin/env bash
# Fetches the packages whose files docs/evaluation.md measures with, and unpacks them into a folder: Debian 12's own packages
# and sources, and one npm package. Needs apt-get, dpkg-dev and npm; no root. Nothing of it is committed.
#
#   tests/bench/eval_corpus.sh FOLDER
set -euo pipefail
readonly folder=${1:?usage: eval_corpus.sh FOLDER}
mkdir -p "$folder/.apt/lists/partial" "$folder/.apt/archives/partial"
cd "$folder"
folder_path=$PWD

# Lists of its own, with sources, so that the machine's stay as they are.
parts=$folder_path/.apt/parts
mkdir "$parts"
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | sed -n 's/^deb \(.*\)/deb \1\ndeb-src \1/p' >"$parts/a.list" || true
for file in /etc/apt/sources.list.d/*.sources; do
  [ -e "$file" ] && sed 's/^Types: deb *$/Types: deb deb-src/' "$file" >"$parts/${file##*/}"
done
options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$parts" -o "Dir::State::Lists=$folder_path/.apt/lists"
         -o "Dir::Cache=$folder_path/.apt" -o APT::Sandbox::User=)
apt-get "${options[@]}" -q update >&2

for package in ranger awesome gnome-shell-extension-dash-to-panel golang-github-hashicorp-raft-dev \
               librust-cssparser-dev librust-selectors-dev dracut-core; do
  [ -d "$package" ] && continue
  apt-get "${options[@]}" -q download "$package" >&2
  dpkg-deb -x "${package}"_*.deb "$package"
  rm "${package}"_*.deb
done
for package in htop mosh junit4; do
  compgen -G "$package-*" >/dev/null && continue
  apt-get "${options[@]}" -q source --download-only "$package" >&2
  dpkg-source -q -x "${package}"_*.dsc
  rm "${package}"_*
done
if [ ! -d xterm ]; then
  npm pack --silent @xterm/xterm@5.5.0 >/dev/null
  mkdir xterm && tar -xzf xterm-xterm-5.5.0.tgz -C xterm && rm xterm-xterm-5.5.0.tgz
fi
rm -rf .apt
echo "unpacked in $folder_path"
