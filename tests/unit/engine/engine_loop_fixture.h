// What the tests of EngineLoop share: requests that collect what they come to, and a loop over the
// fake model.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/schedule/engine_loop.h"
#include "tests/support/fake_model.h"

namespace incipit::engine {

using test::fake_continuation;
using ::testing::HasSubstr;
using Tokens = std::vector<TokenId>;

inline Tokens counting(int32_t n, TokenId first = 0) {
  Tokens tokens(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) tokens[static_cast<size_t>(i)] = (first + i) % 97;
  return tokens;
}

// Each token of the fake vocabulary spells one letter; token 26 is a line break, 96 is special.
inline std::string_view bytes_of_id(TokenId token) {
  static const std::string kLetters = "abcdefghijklmnopqrstuvwxyz\n";
  if (token == 96) return {};
  return std::string_view(kLetters).substr(static_cast<size_t>(token % 27), 1);
}

inline std::string spell(const Tokens& tokens) {
  std::string text;
  for (TokenId token : tokens) text += bytes_of_id(token);
  return text;
}

// Collects what requests come to; wait(n) returns when n have finished.
class Results {
 public:
  GenerateRequest request(Tokens prompt, int32_t max_new_tokens = 8,
                          Priority priority = Priority::kInteractive) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.stop.max_new_tokens = max_new_tokens;
    request.priority = priority;
    return track(std::move(request));
  }

  GenerateRequest track(GenerateRequest request) {
    const size_t i = n_tracked_++;
    std::lock_guard lock(mutex_);
    streamed_.emplace_back();
    generations_.emplace_back();
    n_finishes_.push_back(0);
    request.on_token = [this, i](TokenId token) {
      std::lock_guard inner(mutex_);
      streamed_[i].push_back(token);
    };
    request.on_finish = [this, i](const Generation& generation) {
      std::lock_guard inner(mutex_);
      generations_[i] = generation;
      ++n_finishes_[i];
      ++n_finished_;
      changed_.notify_all();
    };
    return request;
  }

  void wait(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return n_finished_ >= n; });
  }

  Generation at(size_t i) {
    std::lock_guard lock(mutex_);
    EXPECT_EQ(n_finishes_[i], 1) << "request " << i;
    EXPECT_EQ(streamed_[i], generations_[i].tokens) << "request " << i;
    return generations_[i];
  }

  size_t n_finished() {
    std::lock_guard lock(mutex_);
    return n_finished_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t n_tracked_ = 0;
  size_t n_finished_ = 0;
  std::vector<Tokens> streamed_;
  std::vector<Generation> generations_;
  std::vector<int> n_finishes_;
};

class EngineLoopTest : public ::testing::Test {
 protected:
  // Starts the engine. `model` stays readable until stop(); hooks are set before.
  void start(SchedulerOptions options = {}, int32_t n_pages = 64) {
    if (options.context_tokens == 0) options.context_tokens = 512;
    loop_ = std::make_unique<EngineLoop>(make_model(n_pages), options, bytes_of_id, supply_);
  }

  std::unique_ptr<Model> make_model(int32_t n_pages) {
    auto model = std::make_unique<test::FakeModel>(test::FakeModel::Options{.n_pages = n_pages});
    model->on_forward = on_forward_;
    model->gives_up = gives_up_;
    model->nan_token = nan_token_;
    model_ = model.get();
    return model;
  }

  void expect_no_leak() {
    const EngineStats stats = loop_->stats();
    EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages_total);
    EXPECT_EQ(stats.sequences_running, 0);
    EXPECT_EQ(stats.sequences_waiting, 0);
    EXPECT_EQ(model_->n_faults(), 0);
  }

  Generation run(GenerateRequest request) {
    Results results;
    loop_->submit(results.track(std::move(request)));
    results.wait(1);
    return results.at(0);
  }

  std::function<void(const ForwardBatch&)> on_forward_;
  bool gives_up_ = false;
  TokenId nan_token_ = -1;
  ModelSupply supply_;
  test::FakeModel* model_ = nullptr;
  Results results_;
  std::unique_ptr<EngineLoop> loop_;
};

}  // namespace incipit::engine
