// How cuBLAS is found at run time. Needs no device, and no cuBLAS either.
#include "kernels/cuda/cublas_library.h"

#include <gmock/gmock.h>

namespace incipit::kernels::cuda {
namespace {

using testing::HasSubstr;

TEST(CublasLibrary, IsMissingWithTheNameThatWasWantedFirst) {
  const std::vector<std::string> names = {"libincipit_has_no_such.so.13", "/nowhere/libcublas.so"};
  const CublasSearch search = load_cublas(names);
  EXPECT_FALSE(search.library);
  EXPECT_THAT(search.failure, HasSubstr("libincipit_has_no_such.so.13"));
  EXPECT_THAT(search.failure, HasSubstr("No such file"));
}

TEST(CublasLibrary, IsNotTakenWithoutItsFunctions) {
  const std::vector<std::string> names = {"libm.so.6"};
  const CublasSearch search = load_cublas(names);
  EXPECT_FALSE(search.library);
  EXPECT_EQ(search.failure, "libm.so.6: has no cublasCreate_v2");
}

TEST(CublasLibrary, IsTheCompiledVersionBeforeAnyOther) {
  const std::vector<std::string> names = cublas_candidates();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.front(), "libcublas.so." + std::to_string(CUBLAS_VER_MAJOR));
  for (const char* version : {"libcublas.so.13", "libcublas.so.12"})
    EXPECT_EQ(std::count(names.begin(), names.end(), version), 1) << version;
}

TEST(CublasLibrary, GivesFunctionsThatCanBeCalled) {
  const CublasLibrary* const library = cublas_library();
  if (library == nullptr) GTEST_SKIP() << "skipped: no cuBLAS: " << find_cublas().failure;
  EXPECT_TRUE(find_cublas().failure.empty());
  EXPECT_STREQ(library->status_string(CUBLAS_STATUS_ALLOC_FAILED),
               "the resource allocation failed");
  EXPECT_EQ(library->set_stream(nullptr, nullptr), CUBLAS_STATUS_NOT_INITIALIZED);
}

TEST(CublasLibrary, SaysHowToGetIt) {
  EXPECT_THAT(how_to_install_cublas(), HasSubstr("install cuBLAS"));
  EXPECT_THAT(how_to_install_cublas(), HasSubstr("LD_LIBRARY_PATH"));
}

}  // namespace
}  // namespace incipit::kernels::cuda
