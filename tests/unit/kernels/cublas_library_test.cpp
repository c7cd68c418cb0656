// How cuBLAS and cuSOLVER are found at run time. Needs no device, and neither of them.
#include "kernels/cuda/cublas_library.h"

#include <gmock/gmock.h>

#include "kernels/cuda/cusolver_library.h"
#include "tests/support/cuda_device.h"

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

TEST(CusolverLibrary, IsNotTakenWithoutItsFunctions) {
  const std::vector<std::string> names = {"libm.so.6"};
  const CusolverSearch search = load_cusolver(names);
  EXPECT_FALSE(search.library);
  EXPECT_EQ(search.failure, "libm.so.6: has no cusolverDnCreate");
}

TEST(CusolverLibrary, IsTheCompiledVersionBeforeAnyOther) {
  const std::vector<std::string> names = cusolver_candidates();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.front(), "libcusolver.so." + std::to_string(CUSOLVER_VER_MAJOR));
  for (const char* version : {"libcusolver.so.12", "libcusolver.so.11"})
    EXPECT_EQ(std::count(names.begin(), names.end(), version), 1) << version;
}

TEST(CusolverLibrary, GivesFunctionsThatCanBeCalled) {
  const CusolverSearch& search = find_cusolver();
  if (!search.library) GTEST_SKIP() << "skipped: no cuSOLVER: " << search.failure;
  EXPECT_TRUE(search.failure.empty());
  cusolverDnHandle_t handle = nullptr;
  const bool created = search.library->create(&handle) == CUSOLVER_STATUS_SUCCESS;
  EXPECT_EQ(created, cuda_device_present());
  if (!created) return;
  EXPECT_EQ(search.library->destroy(handle), CUSOLVER_STATUS_SUCCESS);
}

TEST(CusolverLibrary, SaysHowToGetIt) {
  EXPECT_THAT(how_to_install_cusolver(), HasSubstr("install cuSOLVER"));
  EXPECT_THAT(how_to_install_cusolver(), HasSubstr("LD_LIBRARY_PATH"));
}

}  // namespace
}  // namespace incipit::kernels::cuda
