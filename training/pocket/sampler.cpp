// Threads that cut training documents and pack them into rows, ahead of the trainer. C interface
// for ctypes (data.py).
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "documents.h"

namespace pocket {

constexpr int kSizes = 4, kStats = 16;

struct Mixture {  // how rows are filled; the same fields as data.py's Mixture
  int64_t row_tokens;
  double chat, plain, cross_file, prefix_first;  // chances of a document, the rest is suffix-first
  double size_chance[kSizes];
  int64_t size_tokens[kSizes];
};

class Sampler {
 public:
  explicit Sampler(BpeTables tables) : tables_(std::move(tables)) {}
  ~Sampler() { stop(); }

  Corpus corpus;
  const BpeTables& tables() const { return tables_; }

  void start(const Mixture& mix, int threads, uint64_t seed, size_t block_rows, size_t max_blocks) {
    stop();
    mix_ = mix;
    block_rows_ = block_rows;
    max_blocks_ = max_blocks;
    stopping_ = false;
    for (int i = 0; i < threads; ++i)
      threads_.emplace_back([this, seed, i] { work(seed * 1000 + i); });
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    room_.notify_all();
    for (auto& t : threads_) t.join();
    threads_.clear();
    std::lock_guard lock(mutex_);
    blocks_.clear();
  }
  // Blocks until a block of rows is there; returns the seconds waited.
  double take(uint16_t* out) {
    const auto t0 = std::chrono::steady_clock::now();
    Tokens block;
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [&] { return !blocks_.empty(); });
      block = std::move(blocks_.front());
      blocks_.pop_front();
    }
    room_.notify_one();
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - t0;
    std::memcpy(out, block.data(), block.size() * 2);
    return waited.count();
  }
  // 0-3: tokens by kind, 4: chats, 5: tokens with kTarget, 6: padding, 7: documents
  void stats(double* out) const {
    for (int i = 0; i < kStats; ++i) out[i] = static_cast<double>(stats_[i].load());
  }

 private:
  void work(uint64_t seed) {
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)),
                5);  // the trainer's own thread comes first
    Encoder encoder(tables_);
    Random rng(seed);
    rng.bits();
    DocumentMaker maker(encoder, rng);
    const auto width = static_cast<size_t>(mix_.row_tokens) + 1;
    while (!stopping_) {
      Tokens block;
      block.reserve(block_rows_ * width);
      for (size_t r = 0; r < block_rows_ && !stopping_; ++r) row(maker, rng, width, block);
      std::unique_lock lock(mutex_);
      room_.wait(lock, [&] { return stopping_ || blocks_.size() < max_blocks_; });
      if (stopping_) return;
      blocks_.push_back(std::move(block));
      lock.unlock();
      filled_.notify_one();
    }
  }

  void row(DocumentMaker& maker, Random& rng, size_t width, Tokens& out) {
    constexpr size_t kTooSmall = 24;
    const size_t end = out.size() + width;
    while (end - out.size() >= kTooSmall) {
      const size_t room = end - out.size();
      int counted = 0;
      Tokens doc = document(maker, rng, room, counted);
      doc.resize(std::min(doc.size(), room));
      size_t targets = 0;
      for (uint16_t id : doc) targets += (id & kTarget) != 0;
      stats_[counted] += doc.size();
      stats_[5] += targets;
      stats_[7] += 1;
      out.insert(out.end(), doc.begin(), doc.end());
    }
    stats_[6] += end - out.size();
    out.resize(end, kPad);
  }

  Tokens document(DocumentMaker& maker, Random& rng, size_t room, int& counted) {
    const double r = rng.unit();
    counted = 4;
    if (r < mix_.chat && corpus.chats.count) {
      if (Tokens chat = conversation(rng, room); !chat.empty()) return chat;
    }
    Kind kind = Kind::kFim;
    const double k = rng.unit();
    if (k < mix_.plain || room < 96) {
      kind = Kind::kPlain;
    } else if (k < mix_.plain + mix_.cross_file && room >= 600) {
      kind = Kind::kCrossFile;
    } else if (rng.chance(mix_.prefix_first)) {
      kind = Kind::kFimPrefixFirst;
    }
    const Language& lang = language(rng);
    const size_t budget = std::min(room, size(rng, kind));
    for (int tries = 0; tries < 4; ++tries) {
      counted = static_cast<int>(kind);
      Tokens doc = maker.make(lang, file(rng, lang, budget), kind, budget);
      if (!doc.empty()) return doc;
    }
    counted = static_cast<int>(Kind::kPlain);
    for (;;) {
      Tokens doc = maker.make(lang, lang.draw(rng), Kind::kPlain, room);
      if (!doc.empty()) return doc;
      if (room < 64) return Tokens(room, kPad);
    }
  }
  size_t size(Random& rng, Kind kind) const {
    double r = rng.unit();
    int i = 0;
    while (i + 1 < kSizes && r >= mix_.size_chance[i]) r -= mix_.size_chance[i++];
    if (kind == Kind::kCrossFile) i = std::max(i, 2);
    return static_cast<size_t>(static_cast<double>(mix_.size_tokens[i]) * rng.between(.7, 1.0));
  }
  // A long document wants a long file.
  size_t file(Random& rng, const Language& lang, size_t budget) const {
    size_t f = lang.draw(rng);
    for (int tries = 0; tries < 6 && budget > 1200 && lang.text(f).size() < budget * 3; ++tries)
      f = lang.draw(rng);
    return f;
  }
  const Language& language(Random& rng) const {
    double sum = 0;
    for (const Language& l : corpus.languages) sum += l.weight;
    double r = rng.unit() * sum;
    for (const Language& l : corpus.languages)
      if ((r -= l.weight) < 0) return l;
    return corpus.languages.back();
  }
  Tokens conversation(Random& rng, size_t room) const {
    const Chats& c = corpus.chats;
    for (int tries = 0; tries < 4; ++tries) {
      const size_t i = rng.below(c.count);
      if (static_cast<size_t>(c.offsets[i + 1] - c.offsets[i]) <= room) {
        return Tokens(c.tokens + c.offsets[i], c.tokens + c.offsets[i + 1]);
      }
    }
    return {};
  }

  BpeTables tables_;
  Mixture mix_{};
  size_t block_rows_ = 0, max_blocks_ = 0;
  std::mutex mutex_;
  std::condition_variable filled_, room_;
  std::deque<Tokens> blocks_;
  std::atomic<bool> stopping_{true};
  std::vector<std::thread> threads_;
  std::array<std::atomic<uint64_t>, kStats> stats_{};
};

}  // namespace pocket

using namespace pocket;

extern "C" {

// Tokens as one string with their lengths; merges as triples of ids (left, right, result) in order
// of rank.
void* pk_encoder_tables(uint32_t tokens, const char* blob, const uint32_t* lengths, uint32_t merges,
                        const uint32_t* left, const uint32_t* right, const uint32_t* result) {
  auto* t = new BpeTables;
  size_t at = 0;
  for (uint32_t i = 0; i < tokens; at += lengths[i++]) {
    const std::string s(blob + at, lengths[i]);
    t->bytes.push_back(lengths[i]);
    t->ends_line.push_back(!s.empty() && s.back() == '\n');
    if (lengths[i] == 1) t->byte_id[static_cast<unsigned char>(s[0])] = i;
    t->vocab.emplace(s, i);
  }
  for (uint32_t i = 0; i < merges; ++i)
    t->merges.emplace(BpeTables::pair_key(left[i], right[i]), std::make_pair(i, result[i]));
  return t;
}
void* pk_encoder_new(void* tables) {
  return new Encoder(*static_cast<BpeTables*>(tables));
}
void pk_encoder_free(void* encoder) {
  delete static_cast<Encoder*>(encoder);
}

// Number of ids; writes at most `capacity` of them.
int64_t pk_encode(void* encoder, const char* text, uint64_t bytes, uint16_t* out,
                  uint64_t capacity) {
  const Tokens ids = static_cast<Encoder*>(encoder)->encode({text, bytes});
  std::memcpy(out, ids.data(), std::min<size_t>(capacity, ids.size()) * 2);
  return static_cast<int64_t>(ids.size());
}

void* pk_sampler_new(void* tables) {
  return new Sampler(*static_cast<BpeTables*>(tables));
}
void pk_sampler_free(void* sampler) {
  delete static_cast<Sampler*>(sampler);
}
void pk_add_language(void* sampler, const char* bytes, const int64_t* rows,
                     const double* cumulative, const int32_t* group, const uint8_t* held,
                     uint64_t files, double weight) {
  static_cast<Sampler*>(sampler)->corpus.languages.push_back(
      {bytes, rows, cumulative, group, held, files, weight});
}
void pk_set_chats(void* sampler, const uint16_t* tokens, const int64_t* offsets, uint64_t count) {
  static_cast<Sampler*>(sampler)->corpus.chats = {tokens, offsets, count};
}
void pk_start(void* sampler, const Mixture* mix, int32_t threads, uint64_t seed,
              uint64_t block_rows, uint64_t max_blocks) {
  static_cast<Sampler*>(sampler)->start(*mix, threads, seed, block_rows, max_blocks);
}
double pk_take(void* sampler, uint16_t* out) {
  return static_cast<Sampler*>(sampler)->take(out);
}
void pk_stop(void* sampler) {
  static_cast<Sampler*>(sampler)->stop();
}
void pk_stats(void* sampler, double* out) {
  static_cast<Sampler*>(sampler)->stats(out);
}

// One document; 0 if the file gives none. The same seed gives the same document.
int64_t pk_document(void* sampler, void* encoder, uint32_t language, uint64_t file, int32_t kind,
                    uint64_t room, uint64_t seed, uint16_t* out, uint64_t capacity) {
  Random rng(seed);
  DocumentMaker maker(*static_cast<Encoder*>(encoder), rng);
  const Language& lang = static_cast<Sampler*>(sampler)->corpus.languages[language];
  const Tokens doc = maker.make(lang, file, static_cast<Kind>(kind), room);
  std::memcpy(out, doc.data(), std::min<size_t>(capacity, doc.size()) * 2);
  return static_cast<int64_t>(doc.size());
}
}
