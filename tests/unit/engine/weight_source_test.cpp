#include "engine/weights/weight_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "engine/weights/pack_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"

namespace incipit::engine {
namespace {

// The bytes of a section, filled `at_once` bytes at a time.
std::vector<std::byte> filled(const WeightSource& source, size_t section_idx, int64_t at_once) {
  kernels::ThreadPool pool(2);
  Conversion conversion;
  const int64_t n_bytes = source.sections()[section_idx].bytes;
  std::vector<std::byte> out(static_cast<size_t>(n_bytes));
  for (int64_t offset = 0; offset < n_bytes; offset += at_once) {
    const auto n = static_cast<size_t>(std::min(at_once, n_bytes - offset));
    const auto piece = std::span(out).subspan(static_cast<size_t>(offset), n);
    const auto done = source.fill(section_idx, offset, piece, pool, conversion);
    EXPECT_TRUE(done.ok()) << done.error().message;
  }
  return out;
}

TEST(WeightSource, FillsEmbeddingAndHeadInPiecesAsAtOnce) {
  for (const test::TinyHead head : {test::TinyHead::kTied, test::TinyHead::kUntied}) {
    const test::TempDir dir;
    test::TinyOptions options;
    options.head = head;
    test::make_tiny_checkpoint(options).write(dir.path());
    const auto opened = open_checkpoint(dir.path(), HeadFormat::kInt8);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    const auto source =
        WeightSource::plan(opened->checkpoint, opened->config, opened->quant, HeadFormat::kInt8);
    ASSERT_TRUE(source.ok()) << source.error().message;
    const std::vector<PackedSection> sections = source->sections_in_pieces();
    int n_in_pieces = 0;
    for (size_t i = 0; i < sections.size(); ++i) {
      const int64_t piece = sections[i].piece_bytes;
      if (piece == 0) continue;
      ++n_in_pieces;
      const std::vector<std::byte> whole = filled(*source, i, sections[i].bytes);
      EXPECT_GT(sections[i].bytes, 3 * piece) << "the last piece should be a shorter one";
      for (const int64_t n : {1, 3})
        EXPECT_EQ(filled(*source, i, n * piece), whole) << sections[i].name << ", " << n;
    }
    EXPECT_EQ(n_in_pieces, 2);
  }
}

}  // namespace
}  // namespace incipit::engine
