#include "lsp/context/secret_files.h"

#include <algorithm>
#include <string>

namespace incipit::lsp {
namespace {

using std::string_view;

constexpr string_view kNames[] = {".env",        ".envrc",           ".netrc",
                                  "_netrc",      ".pgpass",          ".npmrc",
                                  ".pypirc",     ".htpasswd",        ".git-credentials",
                                  "credentials", "credentials.json", "secrets.json",
                                  "secrets.yml", "secrets.yaml",     "secrets.toml",
                                  "shadow",      "authorized_keys",  ".my.cnf",
                                  ".s3cfg",      "htpasswd",         ".dockercfg"};
constexpr string_view kExtensions[] = {".pem",      ".key",    ".p12", ".pfx", ".jks",
                                       ".keystore", ".kdbx",   ".asc", ".gpg", ".ppk",
                                       ".pkcs12",   ".tfvars", ".ovpn"};
constexpr string_view kKeyNames[] = {"id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"};
constexpr string_view kFolders[] = {"/.ssh/", "/.gnupg/", "/.aws/", "/.kube/"};
// ".env.local" and "prod.env" hold secrets; these are templates for them, made to be shared.
constexpr string_view kTemplates[] = {".example", ".sample", ".template", ".dist"};

// RFC 7468, section 2; "PGP PRIVATE KEY BLOCK" of RFC 4880, section 6.2 is alike.
constexpr string_view kKeyBegin = "-----BEGIN ";
constexpr string_view kKeyName = "PRIVATE KEY";
constexpr size_t kMarkerLength = 64;
// The first line of the key lies within this: old keys have headers before it, and in a string
// literal there are quotes between the lines.
constexpr size_t kMaterialReach = 256;
constexpr size_t kMaterialLength = 32;
// More bytes than the longest prompt holds on either side of the cursor.
constexpr size_t kPromptReach = size_t{256} << 10;

// A run of base64 that no word is long enough for.
bool has_key_material(string_view text) {
  size_t run = 0;
  for (const char c : text) {
    const bool base64 = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '+' || c == '/';
    run = base64 ? run + 1 : 0;
    if (run == kMaterialLength) return true;
  }
  return false;
}

template <size_t N>
bool any(const string_view (&list)[N], auto predicate) {
  return std::any_of(std::begin(list), std::end(list), predicate);
}

}  // namespace

bool looks_secret(string_view path) {
  std::string lower(path);
  for (char& c : lower) {
    if (c == '\\') c = '/';
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const string_view whole = lower;
  const size_t slash = whole.rfind('/');
  const string_view name = slash == string_view::npos ? whole : whole.substr(slash + 1);
  const string_view folder = slash == string_view::npos ? "" : whole.substr(0, slash + 1);

  if (any(kTemplates, [&](string_view t) { return name.ends_with(t); })) return false;
  if (any(kNames, [&](string_view n) { return name == n; })) return true;
  if (name.starts_with(".env.") || name.ends_with(".env")) return true;
  if (any(kExtensions, [&](string_view e) { return name.ends_with(e); })) return true;
  if (any(kKeyNames, [&](string_view k) {
        return name == k ||
               (name.starts_with(k) && name[k.size()] == '.' && !name.ends_with(".pub"));
      })) {
    return true;
  }
  return any(kFolders, [&](string_view f) {
    return folder.find(f) != string_view::npos || folder.starts_with(f.substr(1));
  });
}

bool holds_private_key(string_view text, size_t start, size_t end) {
  const size_t first = start - std::min(start, kPromptReach);
  const string_view near = text.substr(first, std::max(start, end) - first + kPromptReach);
  size_t at = 0;
  while ((at = near.find(kKeyBegin, at)) != string_view::npos) {
    at += kKeyBegin.size();
    const string_view marker = near.substr(at, kMarkerLength);
    const size_t name = marker.find(kKeyName);
    if (name == string_view::npos || marker.substr(0, name).find('\n') != string_view::npos)
      continue;
    if (has_key_material(near.substr(at + name + kKeyName.size(), kMaterialReach))) return true;
  }
  return false;
}

}  // namespace incipit::lsp
