#include "engine/weights/tensor_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "engine/config/json_fields.h"
#include "engine/weights/mapped_file.h"

namespace incipit::engine {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kMaxSizes = 8;

struct ElementType {
  TensorType type;
  const char* name;
  int64_t size_bytes;
};

constexpr std::array<ElementType, 23> kElementTypes = {
    {{TensorType::kBool, "BOOL", 1},      {TensorType::kU8, "U8", 1},
     {TensorType::kI8, "I8", 1},          {TensorType::kF8E4M3, "F8_E4M3", 1},
     {TensorType::kF8E5M2, "F8_E5M2", 1}, {TensorType::kI16, "I16", 2},
     {TensorType::kU16, "U16", 2},        {TensorType::kF16, "F16", 2},
     {TensorType::kBF16, "BF16", 2},      {TensorType::kI32, "I32", 4},
     {TensorType::kU32, "U32", 4},        {TensorType::kF32, "F32", 4},
     {TensorType::kF64, "F64", 8},        {TensorType::kI64, "I64", 8},
     {TensorType::kU64, "U64", 8},        {TensorType::kQ4_0, "Q4_0", 0},
     {TensorType::kQ4_1, "Q4_1", 0},      {TensorType::kQ5_0, "Q5_0", 0},
     {TensorType::kQ5_1, "Q5_1", 0},      {TensorType::kQ8_0, "Q8_0", 0},
     {TensorType::kQ4K, "Q4_K", 0},       {TensorType::kQ5K, "Q5_K", 0},
     {TensorType::kQ6K, "Q6_K", 0}}};

const ElementType& row_of(TensorType type) {
  return *std::find_if(kElementTypes.begin(), kElementTypes.end(),
                       [&](const ElementType& row) { return row.type == type; });
}

Error corrupt(const std::string& where, const std::string& what) {
  return Error{ErrorCode::kCorrupt, fmt::format("{}: {}", where, what)};
}

// A non-negative integer that fits int64, or nothing.
std::optional<int64_t> as_size(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<uint64_t>();
  if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<int64_t>(number);
}

// What nlohmann's parser lets pass: it keeps the last of two equal keys, nests without limit and
// makes a value of everything. (Its callback could refuse them too, but then every object that ends
// costs a look at all its siblings: a header of a million empty tensors would take hours.)
class HeaderRules : public nlohmann::json_sax<json> {
 public:
  const std::string& why() const { return why_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override {
    if (!enter()) return false;
    keys_[depth_].clear();
    return true;
  }
  bool start_array(size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool key(string_t& name) override {
    if (!keys_[depth_].insert(name).second) {
      return refuse(fmt::format("want each name once, found {} twice", shown(json(name))));
    }
    if (depth_ > 1 || keys_[depth_].size() <= kMaxTensors) return true;
    return refuse(fmt::format("want at most {} tensors, found more", kMaxTensors));
  }
  bool parse_error(size_t, const std::string&,
                   const nlohmann::detail::exception& failure) override {
    return refuse(fmt::format("want JSON, found: {}", failure.what()));
  }

 private:
  static constexpr size_t kMaxDepth = 3;          // header, tensor, shape
  static constexpr size_t kMaxTensors = 100'000;  // the largest Llama in GPTQ has 5,000

  bool enter() {
    if (depth_ == kMaxDepth) {
      return refuse(fmt::format("want at most {} levels, found more", kMaxDepth));
    }
    ++depth_;
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }
  bool refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }

  size_t depth_ = 0;
  std::array<std::unordered_set<std::string>, kMaxDepth + 1> keys_;  // by depth
  std::string why_;
};

Result<json> parse_header(std::string_view text, const std::string& where) {
  HeaderRules rules;
  if (!json::sax_parse(text, &rules)) return corrupt(where, "header: " + rules.why());
  json header = json::parse(text);
  if (!header.is_object()) {
    return corrupt(where, fmt::format("header: want a JSON object, found {}", shown(header)));
  }
  return header;
}

struct Entry {
  Tensor tensor;  // data not set yet
  int64_t begin = 0;
  int64_t end = 0;
};

Result<std::vector<int64_t>> parse_shape(const json& entry, const std::string& place) {
  const auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array() || shape->size() > kMaxSizes) {
    return corrupt(place, fmt::format("shape: want a list of at most {} sizes, found {}", kMaxSizes,
                                      shape == entry.end() ? "nothing" : shown(*shape)));
  }
  std::vector<int64_t> sizes;
  for (const json& item : *shape) {
    const auto size = as_size(item);
    if (!size) return corrupt(place, fmt::format("shape: want sizes, found {}", shown(*shape)));
    sizes.push_back(*size);
  }
  return sizes;
}

Result<TensorType> parse_type(const json& entry, const std::string& place) {
  const auto type = entry.find("dtype");
  if (type == entry.end() || !type->is_string()) {
    return corrupt(place, fmt::format("dtype: want a string, found {}",
                                      type == entry.end() ? "nothing" : shown(*type)));
  }
  std::string names;
  for (const ElementType& row : kElementTypes) {
    if (row.size_bytes == 0) continue;
    if (type->get_ref<const std::string&>() == row.name) return row.type;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  }
  return Error{ErrorCode::kUnsupported,
               fmt::format("{}: dtype: want one of {}, found {}", place, names, shown(*type))};
}

Result<Entry> parse_entry(const std::string& name, const json& value, int64_t data_bytes,
                          const std::string& where) {
  const std::string place = fmt::format("{}: {}", where, name);
  if (!value.is_object()) {
    return corrupt(place, fmt::format("want an object, found {}", shown(value)));
  }
  Entry entry;
  entry.tensor.name = name;
  ASSIGN_OR_RETURN(entry.tensor.type, parse_type(value, place));
  ASSIGN_OR_RETURN(entry.tensor.shape, parse_shape(value, place));

  const auto offsets = value.find("data_offsets");
  const bool pair = offsets != value.end() && offsets->is_array() && offsets->size() == 2;
  const auto begin = pair ? as_size((*offsets)[0]) : std::nullopt;
  const auto end = pair ? as_size((*offsets)[1]) : std::nullopt;
  if (!begin || !end || *begin > *end) {
    return corrupt(place, fmt::format("data_offsets: want [begin, end], found {}",
                                      offsets == value.end() ? "nothing" : shown(*offsets)));
  }
  if (*end > data_bytes) {
    return corrupt(place,
                   fmt::format("data_offsets: want at most the file's {} bytes of data, found {}",
                               data_bytes, shown(*offsets)));
  }
  // `size` stays below data_bytes at every step, so the product cannot overflow unseen.
  __int128 size = size_of(entry.tensor.type);
  for (const int64_t extent : entry.tensor.shape) {
    size = std::min<__int128>(size * extent, __int128{1} << 62);
  }
  const bool empty = std::count(entry.tensor.shape.begin(), entry.tensor.shape.end(), 0) > 0;
  if (empty) size = 0;
  if (size != *end - *begin) {
    return corrupt(place, fmt::format("want {} bytes of data for {} {}, found {}",
                                      static_cast<int64_t>(size), name_of(entry.tensor.type),
                                      describe_shape(entry.tensor.shape), *end - *begin));
  }
  entry.begin = *begin;
  entry.end = *end;
  return entry;
}

// The format allows neither overlap nor holes, and the data ends where the file does: this is what
// tells a truncated or padded file.
Result<void> check_coverage(const std::vector<Entry>& entries, int64_t data_bytes,
                            const std::string& where) {
  int64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected) {
      return corrupt(where,
                     fmt::format("{}: {}: want data at offset {}, found {}", entry.tensor.name,
                                 entry.begin < expected ? "overlaps" : "leaves a hole", expected,
                                 entry.begin));
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    return corrupt(where, fmt::format("want {} bytes of data, as the header says, found {}",
                                      expected, data_bytes));
  }
  return {};
}

}  // namespace

const char* name_of(TensorType type) {
  return row_of(type).name;
}

int64_t size_of(TensorType type) {
  return row_of(type).size_bytes;
}

int64_t Tensor::n_elements() const {
  if (std::count(shape.begin(), shape.end(), 0) > 0) return 0;
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

std::string describe_shape(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Result<TensorFile> TensorFile::open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(auto mapped, MappedFile::open(path));
  ASSIGN_OR_RETURN(TensorFile file, parse(mapped->bytes(), path.string()));
  file.mapping_ = std::move(mapped);
  return file;
}

Result<TensorFile> TensorFile::parse(std::span<const std::byte> bytes, const std::string& where) {
  if (bytes.size() < kLengthBytes) {
    return corrupt(where, fmt::format("want a safetensors file of at least {} bytes, found {}",
                                      kLengthBytes, bytes.size()));
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  const uint64_t limit = std::min<uint64_t>(bytes.size() - kLengthBytes, kMaxHeaderBytes);
  if (header_bytes > limit) {
    return corrupt(where,
                   fmt::format("header length: want at most {}, found {}", limit, header_bytes));
  }
  TensorFile file;
  file.where_ = where;
  file.size_bytes_ = static_cast<int64_t>(bytes.size());
  file.header_ = bytes.first(kLengthBytes + header_bytes);
  const auto data = bytes.subspan(kLengthBytes + header_bytes);
  const auto data_bytes = static_cast<int64_t>(data.size());

  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                              header_bytes);
  ASSIGN_OR_RETURN(const json header, parse_header(text, where));
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;  // free text of whoever wrote the file
    ASSIGN_OR_RETURN(Entry entry, parse_entry(name, value, data_bytes, where));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  TRY(check_coverage(entries, data_bytes, where));
  for (Entry& entry : entries) {
    entry.tensor.data = data.subspan(static_cast<size_t>(entry.begin),
                                     static_cast<size_t>(entry.end - entry.begin));
    file.index_.emplace(entry.tensor.name, file.tensors_.size());
    file.tensors_.push_back(std::move(entry.tensor));
  }
  return file;
}

Result<TensorFile> TensorFile::from_tensors(const std::string& where,
                                            std::span<const std::byte> header, int64_t size_bytes,
                                            std::vector<Tensor> tensors,
                                            std::shared_ptr<const void> mapping) {
  TensorFile file;
  file.where_ = where;
  file.header_ = header;
  file.size_bytes_ = size_bytes;
  file.mapping_ = std::move(mapping);
  file.tensors_ = std::move(tensors);
  for (size_t i = 0; i < file.tensors_.size(); ++i) {
    if (file.index_.emplace(file.tensors_[i].name, i).second) continue;
    return corrupt(where,
                   fmt::format("want each tensor once, found {} twice", file.tensors_[i].name));
  }
  return file;
}

const Tensor* TensorFile::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

void TensorFile::release(const Tensor& tensor) const {
  if (mapping_ == nullptr || tensor.data.empty()) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(tensor.data.data());
  const uintptr_t end = begin + tensor.data.size();
  // Pages that are shared with a neighbour stay.
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (first < last) (void)::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace incipit::engine
