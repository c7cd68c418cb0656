// Between two decode steps the engine allocates nothing: this binary counts every operator new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <new>

#include "engine/engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"

namespace {

std::atomic<int64_t> n_allocations{0};

}  // namespace

// noinline: g++ takes an inlined pair of malloc and free for a mismatch.
[[gnu::noinline]] void* operator new(size_t size) {
  ++n_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace incipit::engine {
namespace {

TEST(EngineAllocation, TakesNoMemoryBetweenTwoDecodeSteps) {
  const test::TempDir dir;
  test::write_tiny_checkpoint(dir / "tiny");
  EngineOptions options;
  options.device = "cpu";
  options.model = (dir / "tiny").string();
  options.cache_dir = (dir / "cache").string();
  options.n_threads = 2;
  const auto engine = Engine::create(options).value();

  GenerateRequest request;
  request.prompt = engine->tokenizer()->encode("for (int i = 0; i < n; ++i) ");
  request.stop.max_new_tokens = 100;  // several pages are filled and published on the way
  request.stop.stop_strings = {"never to be found", "nor this"};
  request.stop.max_lines = 1000;
  std::vector<int64_t> counts;
  counts.reserve(200);
  request.on_token = [&](TokenId) { counts.push_back(n_allocations); };
  std::promise<Generation> done;
  request.on_finish = [&](const Generation& generation) { done.set_value(generation); };
  auto result = done.get_future();
  engine->submit(std::move(request));
  ASSERT_EQ(result.get().reason, FinishReason::kTokenLimit);

  ASSERT_EQ(counts.size(), 100u);
  // The first tokens come while this thread may still be on its way into get().
  for (size_t i = 11; i < counts.size(); ++i)
    EXPECT_EQ(counts[i] - counts[i - 1], 0) << "before token " << i;
}

}  // namespace
}  // namespace incipit::engine
