#!/usr/bin/env bash
# Fetches the packages whose files docs/evaluation.md measures with, and unpacks them into a folder: Debian 12's own packages
# and sources, and npm packages. Needs apt-get, dpkg-dev and npm; no root. Nothing of it is committed.
#
#   tests/bench/eval_corpus.sh FOLDER            what most tables are of
#   tests/bench/eval_corpus.sh FOLDER mutation   the other files, of the mutation test
set -euo pipefail
readonly folder=${1:?usage: eval_corpus.sh FOLDER [mutation]}
case "${2:-}" in
  "")
    binaries=(ranger awesome gnome-shell-extension-dash-to-panel golang-github-hashicorp-raft-dev librust-cssparser-dev
              librust-selectors-dev dracut-core)
    sources=(htop mosh junit4)
    npm_packages=(@xterm/xterm@5.5.0)
    ;;
  mutation)
    binaries=(golang-github-hashicorp-serf-dev golang-github-hashicorp-hcl-dev gnome-shell-extension-gsconnect
              librust-cbindgen-dev librust-buffered-reader-dev pbuilder meld nmap-common devscripts)
    sources=(less hunspell c3p0)
    npm_packages=(prosemirror-tables@1.8.5 prosemirror-commands@1.7.2 prosemirror-history@1.5.2 prosemirror-schema-list@1.6.1
                  prosemirror-markdown@1.13.9 prosemirror-menu@1.3.2 prosemirror-changeset@2.4.6 prosemirror-search@1.1.1
                  prosemirror-inputrules@1.7.0)
    ;;
  *) echo "eval_corpus.sh: want nothing or \"mutation\" after the folder, found \"$2\"" >&2; exit 2 ;;
esac
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

for package in "${binaries[@]}"; do
  [ -d "$package" ] && continue
  apt-get "${options[@]}" -q download "$package" >&2
  dpkg-deb -x "${package}"_*.deb "$package"
  rm "${package}"_*.deb
done
for package in "${sources[@]}"; do
  compgen -G "$package-*" >/dev/null && continue
  apt-get "${options[@]}" -q source --download-only "$package" >&2
  dpkg-source -q -x "${package}"_*.dsc
  rm "${package}"_*
done
# Unpacked under the name without scope and version, "xterm".
for package in "${npm_packages[@]}"; do
  name=${package##*/}
  name=${name%@*}
  [ -d "$name" ] && continue
  archive=$(npm pack --silent "$package")
  mkdir "$name" && tar -xzf "$archive" -C "$name" && rm "$archive"
done
rm -rf .apt
echo "unpacked in $folder_path"
