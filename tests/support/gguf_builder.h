// Writes GGUF files for tests: metadata and tensors as they are given, sound or not.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace incipit::test {

class GgufBuilder {
 public:
  // The format's numbers of the types of metadata.
  enum Type : uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kString = 8, kArray = 9 };

  uint32_t version = 3;

  void add(const std::string& key, const std::string& text) { entry(key, kString) += string(text); }
  void add(const std::string& key, const char* text) { add(key, std::string(text)); }
  void add(const std::string& key, uint32_t number) { entry(key, kU32) += bytes(number); }
  void add(const std::string& key, float number) { entry(key, kF32) += bytes(number); }
  void add(const std::string& key, const std::vector<std::string>& texts) {
    std::string& out = entry(key, kArray);
    out += bytes<uint32_t>(kString) + bytes<uint64_t>(texts.size());
    for (const std::string& text : texts) out += string(text);
  }
  void add(const std::string& key, const std::vector<int32_t>& numbers) {
    std::string& out = entry(key, kArray);
    out += bytes<uint32_t>(kI32) + bytes<uint64_t>(numbers.size());
    for (const int32_t number : numbers) out += bytes(number);
  }
  void add_raw(const std::string& entry_bytes) {
    metadata_ += entry_bytes;
    ++n_entries_;
  }

  // Shape outermost first, as safetensors has it; the type is the format's number.
  void add_tensor(const std::string& name, std::vector<int64_t> shape, uint32_t type,
                  const std::string& data) {
    std::string row = string(name) + bytes(static_cast<uint32_t>(shape.size()));
    for (auto it = shape.rbegin(); it != shape.rend(); ++it) row += bytes<uint64_t>(*it);
    tensors_ += row + bytes(type) + bytes<uint64_t>(data_.size());
    data_ += data;
    data_.append((32 - data_.size() % 32) % 32, '\0');
    ++n_tensors_;
  }

  std::string file() const {
    std::string out = "GGUF" + bytes(version) + bytes(n_tensors_) + bytes(n_entries_);
    out += metadata_ + tensors_;
    out.append((32 - out.size() % 32) % 32, '\0');
    return out + data_;
  }

  template <class T>
  static std::string bytes(T value) {
    std::string out(sizeof(T), '\0');
    std::memcpy(out.data(), &value, sizeof(T));
    return out;
  }
  static std::string string(const std::string& text) { return bytes<uint64_t>(text.size()) + text; }

 private:
  std::string& entry(const std::string& key, uint32_t type) {
    ++n_entries_;
    return metadata_ += string(key) + bytes(type);
  }

  std::string metadata_, tensors_, data_;
  uint64_t n_entries_ = 0, n_tensors_ = 0;
};

}  // namespace incipit::test
