#include "lsp/context/secret_files.h"

#include <gmock/gmock.h>

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

}  // namespace
}  // namespace incipit::lsp
