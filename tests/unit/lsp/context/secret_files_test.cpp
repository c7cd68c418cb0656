#include "lsp/context/secret_files.h"

#include <gmock/gmock.h>

#include <string>

namespace incipit::lsp {
namespace {

TEST(SecretFiles, AreKnownByNameExtensionAndFolder) {
  for (const char* path : {".env", "/srv/app/.env", "/srv/app/.env.local", "prod.env", "server.pem",
                           "C:\\keys\\site.KEY", "/home/a/.ssh/config", ".ssh/known_hosts",
                           "id_rsa", "/x/id_ed25519", "id_rsa.bak", "/home/a/.aws/credentials",
                           "secrets.yaml", "file:///home/a/.netrc", "terraform.tfvars"}) {
    EXPECT_TRUE(looks_secret(path)) << path;
  }
}

TEST(SecretFiles, AreNotWhatOnlySoundsLikeThem) {
  for (const char* path :
       {"", "main.py", "environment.ts", "src/env.cpp", ".env.example", "id_rsa.pub", "keyboard.c",
        "secrets.cpp", "ssh/client.go", "a.pem.py"}) {
    EXPECT_FALSE(looks_secret(path)) << path;
  }
}

// Not in one piece, so that nobody takes this file for one that holds a key.
std::string key_block(const std::string& kind, const std::string& line_break) {
  const std::string dashes(5, '-');
  return dashes + "BEGIN " + kind + dashes + line_break + std::string(64, 'A') + line_break +
         dashes + "END " + kind + dashes + line_break;
}

TEST(PrivateKeys, AreKnownByTheirBlock) {
  for (const char* kind : {"PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY",
                           "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK"}) {
    for (const char* line_break : {"\n", "\r\n", "\\n\"\n    \""}) {
      const std::string text = "x = 1\n" + key_block(kind, line_break);
      EXPECT_TRUE(holds_private_key(text, 0, 0)) << text;
      EXPECT_TRUE(holds_private_key(text, text.size(), text.size())) << text;
    }
  }
}

TEST(PrivateKeys, AreNotPublicKeysNorTheirMarkers) {
  EXPECT_FALSE(holds_private_key(key_block("PUBLIC KEY", "\n"), 0, 0));
  EXPECT_FALSE(holds_private_key(key_block("CERTIFICATE", "\n"), 0, 0));
  EXPECT_FALSE(holds_private_key("if line == '-----BEGIN PRIVATE KEY-----':\n    pass\n", 0, 0));
  EXPECT_FALSE(holds_private_key("", 0, 0));
}

TEST(PrivateKeys, CountWithinReachOfAPrompt) {
  const std::string text = key_block("PRIVATE KEY", "\n") + std::string(300 << 10, 'x');
  EXPECT_TRUE(holds_private_key(text, 1000, 1000));
  EXPECT_TRUE(holds_private_key(text, 0, text.size()));
  EXPECT_FALSE(holds_private_key(text, text.size(), text.size()));
}

}  // namespace
}  // namespace incipit::lsp
