#include "engine/schedule/page_keeper.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/temporary_file.h"
#include "engine/weights/checksum.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPagesSuffix = ".pages";

// As many restored pages leave half of the pool to what comes.
constexpr int32_t kRestoredShare = 2;
// One page in so many must be new: a file of 200 MB is not written for each typing pause.
constexpr size_t kNewShare = 8;

struct KeptFile {
  fs::path path;
  fs::file_time_type written;
  int64_t bytes = 0;
  bool is_whole() const { return path.filename().string().ends_with(kPagesSuffix); }
};

std::vector<KeptFile> files_of(const fs::path& directory) {
  std::vector<KeptFile> files;
  std::error_code failure;
  for (fs::directory_iterator it(directory, failure), end; !failure && it != end;
       it.increment(failure)) {
    if (it->path().filename().string().find(kPagesSuffix) == std::string::npos) continue;
    std::error_code ignored;
    const auto written = it->last_write_time(ignored);
    const auto bytes = static_cast<int64_t>(it->file_size(ignored));
    if (!ignored) files.push_back({it->path(), written, bytes});
  }
  return files;
}

// `parent`: the key of the run before, 0 at the beginning.
uint64_t key_of(uint64_t parent, std::span<const TokenId> tokens) {
  std::array<std::byte, sizeof parent + sizeof(TokenId) * kPageTokens> bytes;
  std::memcpy(bytes.data(), &parent, sizeof parent);
  std::memcpy(bytes.data() + sizeof parent, tokens.data(), tokens.size_bytes());
  return checksum(std::span<const std::byte>(bytes).first(sizeof parent + tokens.size_bytes()));
}

std::vector<uint64_t> keys_of(const std::vector<StoredRun>& runs) {
  std::vector<uint64_t> keys;
  for (const StoredRun& run : runs) {
    const uint64_t parent = run.parent < 0 ? 0 : keys[static_cast<size_t>(run.parent)];
    keys.push_back(key_of(parent, std::span(run.tokens).first(static_cast<size_t>(run.n_tokens))));
  }
  return keys;
}

}  // namespace

std::optional<PageKeeper::Clock::time_point> PageKeeper::due(const Scheduler& scheduler) const {
  switch (phase_) {
    case Phase::kOpening:
    case Phase::kReading:
    case Phase::kWriting:
      return Clock::now();
    case Phase::kWaiting:
      break;
  }
  if (has_failed_ || scheduler.tokens_computed() == n_computed_seen_) return std::nullopt;
  return last_request_ + keeping_.idle_before_writing;
}

void PageKeeper::read_at_start(Scheduler& scheduler, Model& model) {
  const Clock::time_point until = Clock::now() + kReadingAtStart;
  while ((phase_ == Phase::kOpening || phase_ == Phase::kReading) && Clock::now() < until)
    work(scheduler, model);
}

void PageKeeper::work(Scheduler& scheduler, Model& model) {
  switch (phase_) {
    case Phase::kOpening:
      return open_file(scheduler, model);
    case Phase::kReading:
      return read_one(scheduler, model);
    case Phase::kWaiting:
      if (!begin_writing(scheduler, model)) n_computed_seen_ = scheduler.tokens_computed();
      return;
    case Phase::kWriting:
      return write_one(scheduler, model);
  }
}

void PageKeeper::interrupt() {
  last_request_ = Clock::now();
  if (phase_ != Phase::kWriting) return;
  writer_.reset();
  phase_ = Phase::kWaiting;
}

void PageKeeper::write_all(const Scheduler& scheduler, Model& model) {
  if (has_failed_ || phase_ == Phase::kOpening) return;
  // The file holds more than the cache while it is being read; it stays if nothing was added.
  if (phase_ != Phase::kWriting) {
    if (scheduler.tokens_computed() == n_computed_seen_) return;
    reader_.reset();
    if (!begin_writing(scheduler, model)) return;
  }
  const Pace pace{Clock::now(), writer_->n_written()};
  while (phase_ == Phase::kWriting && ends_in_time(pace)) write_one(scheduler, model);
  if (phase_ != Phase::kWriting) return;
  log::info("kv-disk: {} pages are too many to be written at the end: the file stays as it was",
            to_write_.size());
  interrupt();
}

// At the pace so far, once there is one: what would be given up in the end is not even begun.
bool PageKeeper::ends_in_time(const Pace& pace) const {
  constexpr std::chrono::milliseconds kFirstLook{20};
  using Seconds = std::chrono::duration<double>;
  const Clock::duration elapsed = Clock::now() - pace.began;
  if (elapsed >= keeping_.longest_at_end) return false;
  if (elapsed < kFirstLook) return true;
  const auto n_done = static_cast<double>(writer_->n_written() - pace.n_before);
  const auto n_all = static_cast<double>(to_write_.size() - pace.n_before);
  return Seconds(elapsed) * n_all <= Seconds(keeping_.longest_at_end) * n_done;
}

void PageKeeper::give_up(const Error& why) {
  log::warn("kv-disk: {}", why.message);
  has_failed_ = true;
  writer_.reset();
  phase_ = Phase::kWaiting;
}

void PageKeeper::open_file(const Scheduler& scheduler, Model& model) {
  phase_ = Phase::kWaiting;
  page_.resize(static_cast<size_t>(model.page_bytes()));
  if (page_.empty()) return give_up({ErrorCode::kUnsupported, "this model's pages stay in memory"});
  remove_left_overs();
  auto opened = PageFileReader::open(keeping_.path, keeping_.identity, model.page_bytes(),
                                     model.config().vocab);
  if (!opened) {
    if (opened.error().code != ErrorCode::kNotFound)
      log::warn("kv-disk: ignored: {}", opened.error().message);
    return;
  }
  reader_.emplace(std::move(*opened));
  const auto most = static_cast<size_t>(scheduler.allocator().n_pages() / kRestoredShare);
  n_to_read_ = std::min(most, reader_->runs().size());
  for (const RunKey key : keys_of(reader_->runs())) written_.insert(key);
  phase_ = Phase::kReading;
}

void PageKeeper::read_one(Scheduler& scheduler, Model& model) {
  const size_t idx = restored_.size();
  if (idx == n_to_read_) return end_reading(scheduler);
  const StoredRun& run = reader_->runs()[idx];
  std::optional<PageId> parent;
  if (run.parent >= 0) parent = restored_[static_cast<size_t>(run.parent)];
  if (run.parent >= 0 && !parent) {
    restored_.emplace_back();
    return;
  }
  if (Result<void> read = reader_->read(idx, page_); !read) {
    log::warn("kv-disk: the rest is ignored: {}", read.error().message);
    written_.clear();
    return end_reading(scheduler);
  }
  const std::optional<PageId> page = scheduler.take_free_page();
  if (!page) return end_reading(scheduler);
  model.write_page(*page, page_);
  restored_.push_back(scheduler.adopt_page(
      parent, std::span(run.tokens).first(static_cast<size_t>(run.n_tokens)), *page));
  ++n_restored_;
}

// The most recently used is given back last, so that it is evicted last.
void PageKeeper::end_reading(Scheduler& scheduler) {
  for (size_t i = restored_.size(); i-- > 0;)
    if (restored_[i]) scheduler.give_back_page(*restored_[i]);
  log::info("kv-disk: {} of {} pages read from {}", n_restored_, reader_->runs().size(),
            keeping_.path.string());
  restored_.clear();
  reader_.reset();
  phase_ = Phase::kWaiting;
}

bool PageKeeper::begin_writing(const Scheduler& scheduler, Model& model) {
  const int64_t per_page = page_file_bytes(1, model.page_bytes(), 0) - page_file_bytes(0, 0, 0);
  const int64_t room = keeping_.max_bytes - page_file_bytes(0, 0, keeping_.identity.size());
  const std::vector<CachedRun> cached =
      scheduler.cache().most_recent(static_cast<size_t>(std::max<int64_t>(0, room / per_page)));
  std::unordered_map<int32_t, int32_t> entry_of;  // page index -> entry
  std::vector<StoredRun> runs;
  to_write_.clear();
  for (const CachedRun& one : cached) {
    StoredRun run;
    if (one.parent) run.parent = entry_of.at(index_of(*one.parent));
    run.n_tokens = static_cast<int32_t>(one.tokens.size());
    std::ranges::copy(one.tokens, run.tokens.begin());
    entry_of[index_of(one.page)] = static_cast<int32_t>(runs.size());
    runs.push_back(run);
    to_write_.push_back(one.page);
  }
  keys_to_write_ = keys_of(runs);
  if (!enough_is_new(keys_to_write_)) return false;
  auto created =
      PageFileWriter::create(keeping_.path, keeping_.identity, model.page_bytes(), std::move(runs));
  if (!created) {
    give_up(created.error());
    return false;
  }
  writer_.emplace(std::move(*created));
  phase_ = Phase::kWriting;
  return true;
}

bool PageKeeper::enough_is_new(const std::vector<RunKey>& keys) const {
  std::error_code ignored;
  const bool has_file = fs::exists(keeping_.path, ignored);  // the user may have removed it
  const auto n_new = static_cast<size_t>(std::ranges::count_if(
      keys, [&](RunKey key) { return !has_file || !written_.contains(key); }));
  return n_new > 0 && n_new * kNewShare >= keys.size();
}

void PageKeeper::write_one(const Scheduler& scheduler, Model& model) {
  Result<void> done;
  if (writer_->n_written() < to_write_.size()) {
    model.read_page(to_write_[writer_->n_written()], page_);
    done = writer_->write(page_);
    if (!done) give_up(done.error());
    return;
  }
  done = writer_->finish();
  if (!done) return give_up(done.error());
  log::info("kv-disk: {} pages kept in {}", to_write_.size(), keeping_.path.string());
  n_computed_seen_ = scheduler.tokens_computed();
  written_ = {keys_to_write_.begin(), keys_to_write_.end()};
  writer_.reset();
  phase_ = Phase::kWaiting;
  trim_directory();
}

// Of any model.
void PageKeeper::remove_left_overs() const {
  std::error_code ignored;
  for (const KeptFile& file : files_of(keeping_.path.parent_path())) {
    if (!file.is_whole() && is_stale_temporary(file.path)) fs::remove(file.path, ignored);
  }
}

// The files of other models go when all of them together are too much, the oldest first.
void PageKeeper::trim_directory() const {
  remove_left_overs();
  std::vector<KeptFile> files = files_of(keeping_.path.parent_path());
  int64_t total = 0;
  for (const KeptFile& file : files) total += file.bytes;
  std::ranges::sort(files, {}, &KeptFile::written);
  for (const KeptFile& file : files) {
    if (total <= keeping_.max_bytes) return;
    if (file.path == keeping_.path || !file.is_whole()) continue;
    std::error_code ignored;
    fs::remove(file.path, ignored);
    total -= file.bytes;
  }
}

}  // namespace incipit::engine
