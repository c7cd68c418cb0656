#include "engine/quantize/calibration_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "engine/weights/checksum.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

constexpr char kSeparator = '\x1e';  // cmake/pack_calibration.cmake puts it behind each document
constexpr size_t kManyDocuments = 16;
constexpr size_t kHeldOutPart = 8;  // one of so many

Result<std::string> read_bytes(const fs::path& path) {
  const auto unfit = [&](ErrorCode code, const char* found) {
    return Error{code, fmt::format("{}: want a file of text, found {}", path.string(), found)};
  };
  std::error_code ignored;
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored))  // a pipe would not end
    return unfit(ErrorCode::kInvalidArgument, "no regular file");
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad() || !file.is_open()) return unfit(ErrorCode::kNotFound, "none that can be read");
  if (bytes.empty()) return unfit(ErrorCode::kInvalidArgument, "nothing in it");
  if (bytes.find('\0') != std::string::npos)
    return unfit(ErrorCode::kInvalidArgument, "bytes that no text has");
  return bytes;
}

CalibrationText with_fingerprint(std::vector<std::string> documents) {
  std::string sums;
  for (const std::string& document : documents) {
    sums += fmt::format("{:016x}", checksum(std::string_view(document)));
  }
  return {std::move(documents), checksum(std::string_view(sums))};
}

std::vector<fs::path> default_places() {
  std::vector<fs::path> places;
  std::error_code failure;
  const fs::path executable = fs::read_symlink("/proc/self/exe", failure);
  if (!failure) {
    places.push_back(
        (executable.parent_path() / "../share/incipit/calibration.txt").lexically_normal());
  }
  places.emplace_back(INCIPIT_BUILD_CALIBRATION);
  return places;
}

// All tokens of one of the sets, documents joined by eos.
class TokenRun {
 public:
  TokenRun(const Encode& encode, TokenId eos) : encode_(encode), eos_(eos) {}

  void add(std::string_view text) {
    const std::vector<TokenId> encoded = encode_(text);
    tokens_.insert(tokens_.end(), encoded.begin(), encoded.end());
    if (eos_ >= 0) tokens_.push_back(eos_);
  }

  // At most `wanted` sequences, spread evenly.
  TokenSequences cut(int32_t length, int32_t wanted, TokenId bos) const {
    TokenSequences sequences{{}, length};
    const int64_t own = length - (bos >= 0 ? 1 : 0);  // tokens of text in a sequence
    const int64_t there = static_cast<int64_t>(tokens_.size()) / own;
    const int64_t n = std::min<int64_t>(there, wanted);
    for (int64_t i = 0; i < n; ++i) {
      if (bos >= 0) sequences.tokens.push_back(bos);
      const auto begin = tokens_.begin() + i * there / n * own;
      sequences.tokens.insert(sequences.tokens.end(), begin, begin + own);
    }
    return sequences;
  }

 private:
  const Encode& encode_;
  TokenId eos_;
  std::vector<TokenId> tokens_;
};

// Where a text can be cut near its last eighth without cutting a line.
size_t cut_at(std::string_view text) {
  const size_t near = text.size() - text.size() / kHeldOutPart;
  const size_t line = text.find('\n', near);
  return line == std::string_view::npos ? near : line + 1;
}

}  // namespace

Result<CalibrationText> default_calibration() {
  std::string looked;
  for (const fs::path& place : default_places()) {
    const auto bytes = read_bytes(place);
    if (!bytes.ok()) {
      looked += (looked.empty() ? "" : ", ") + place.string();
      continue;
    }
    std::vector<std::string> documents;
    for (size_t begin = 0; begin < bytes->size();) {
      const size_t end = std::min(bytes->find(kSeparator, begin), bytes->size());
      if (end > begin) documents.push_back(bytes->substr(begin, end - begin));
      begin = end + 1;
    }
    return with_fingerprint(std::move(documents));
  }
  return Error{ErrorCode::kNotFound,
               fmt::format("calibration text: want the set that comes with the program, looked for "
                           "{} (--calibration names other files)",
                           looked)};
}

Result<CalibrationText> read_calibration(const std::vector<fs::path>& files) {
  std::vector<std::string> documents;
  for (const fs::path& file : files) {
    ASSIGN_OR_RETURN(std::string bytes, read_bytes(file));
    documents.push_back(std::move(bytes));
  }
  return with_fingerprint(std::move(documents));
}

Result<CalibrationSets> make_calibration_sets(const CalibrationText& text, const Encode& encode,
                                              TokenId bos, TokenId eos,
                                              const CalibrationSizes& sizes) {
  TokenRun calibration(encode, eos), held_out(encode, eos);
  const bool by_document = text.documents.size() >= kManyDocuments;
  for (size_t i = 0; i < text.documents.size(); ++i) {
    const std::string_view document = text.documents[i];
    if (by_document) {
      (i % kHeldOutPart == kHeldOutPart - 1 ? held_out : calibration).add(document);
    } else {
      const size_t cut = cut_at(document);
      calibration.add(document.substr(0, cut));
      held_out.add(document.substr(cut));
    }
  }
  CalibrationSets sets{calibration.cut(sizes.sequence_tokens, sizes.n_sequences, bos),
                       held_out.cut(sizes.sequence_tokens, sizes.n_held_out, bos)};
  if (sets.calibration.n_sequences() > 0 && sets.held_out.n_sequences() > 0) return sets;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("calibration text: want enough for {} tokens and an eighth of it held "
                           "out for as many, found less",
                           sizes.sequence_tokens)};
}

}  // namespace incipit::engine
