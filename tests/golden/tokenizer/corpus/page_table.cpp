// Copies nothing: a table only knows which pages a sequence holds.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace sample {

enum class PageId : std::int32_t {};

template <typename T, std::size_t kSize = 16>
class PageTable final {
 public:
  explicit PageTable(std::vector<PageId> pages) noexcept : pages_(std::move(pages)) {}

  [[nodiscard]] std::optional<PageId> at(std::size_t token) const {
    if (token / kSize >= pages_.size()) return std::nullopt;
    return pages_[token / kSize];
  }

  auto operator<=>(const PageTable&) const = default;

 private:
  std::vector<PageId> pages_;  // [n_pages], owned by the allocator
};

#define MAX_OF(a, b) (((a) > (b)) ? (a) : (b))

int main(int argc, char** argv) {
  const char* text = R"(raw "string" \n stays)";
  double x = 1.5e-3, y = 0x1.8p3;
  auto lambda = [&, count = 0]() mutable -> int { return ++count + static_cast<int>(x * y); };
  for (auto&& [key, value] : std::map<int, std::string>{{1, "one"}, {2, "two"}}) {
    std::printf("%d:%s\t%zu\n", key, value.c_str(), sizeof(text));
  }
  return lambda() >> 3 & ~0xFFu ^ 'a' || argc != 1'000'000;
}

}  // namespace sample
