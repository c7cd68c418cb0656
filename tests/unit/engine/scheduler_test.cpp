#include "engine/schedule/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <set>

#include "tests/support/fake_model.h"

namespace incipit::engine {
namespace {

using ::testing::HasSubstr;
using Tokens = std::vector<TokenId>;

Tokens counting(int32_t n, TokenId first = 0) {
  Tokens tokens(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) tokens[static_cast<size_t>(i)] = (first + i) % 97;
  return tokens;
}

// Drives a Scheduler by hand over the fake model, greedy.
class Driver {
 public:
  explicit Driver(SchedulerOptions options)
      : scheduler(options),
        model({.n_pages = options.n_pages, .max_rows = options.max_batch + options.prefill_chunk}) {
  }

  Sequence& add(const Tokens& prompt, Priority priority = Priority::kInteractive,
                int32_t max_new_tokens = 1000) {
    GenerateRequest request;
    request.priority = priority;
    request.stop.max_new_tokens = max_new_tokens;
    request.prompt = prompt;
    return scheduler.add(std::make_unique<Sequence>(SequenceId{}, request, TokenBytes()));
  }

  // One step: plan, check, compute, take tokens. The plan is that of this step.
  const StepPlan& step() {
    const StepPlan& plan = scheduler.next();
    check_writes(plan);
    for (const PageCopy& copy : plan.copies) model.copy_page(copy.from, copy.to, copy.n_tokens);
    model.forward(plan.batch);
    n_copies = plan.copies.size();
    scheduler.commit();
    for (const StepPlan::Rows& rows : plan.rows)
      if (rows.logit_index >= 0)
        rows.sequence->tokens.push_back(model.candidates(rows.logit_index)[0].token);
    return plan;
  }

  int32_t rows_of(const StepPlan& plan, const Sequence& sequence) const {
    for (const StepPlan::Rows& rows : plan.rows)
      if (rows.sequence == &sequence) return rows.n_rows;
    return 0;
  }

  void generate(Sequence& sequence, int32_t n) {
    while (sequence.n_generated() < n) step();
  }

  Tokens generated(const Sequence& sequence) const {
    return {sequence.tokens.begin() + sequence.n_prompt, sequence.tokens.end()};
  }

  void expect_right(const Sequence& sequence) const {
    const Tokens prompt(sequence.tokens.begin(), sequence.tokens.begin() + sequence.n_prompt);
    EXPECT_EQ(generated(sequence), test::fake_continuation(prompt, sequence.n_generated()));
    EXPECT_EQ(model.n_faults(), 0);
  }

  // Finishes all and expects every page to be free or only cached.
  void expect_no_leak() {
    while (!scheduler.running().empty()) scheduler.remove(*scheduler.running().front());
    while (!scheduler.waiting().empty()) scheduler.remove(*scheduler.waiting().front());
    EXPECT_EQ(scheduler.allocator().n_free() + scheduler.cache().n_evictable(),
              scheduler.allocator().n_pages());
    EXPECT_EQ(scheduler.cache().n_evictable(), scheduler.cache().n_cached());
  }

  Scheduler scheduler;
  test::FakeModel model;
  size_t n_copies = 0;

 private:
  // Every page that a row writes to belongs to one sequence alone.
  void check_writes(const StepPlan& plan) {
    std::set<int32_t> written;
    for (const StepPlan::Rows& rows : plan.rows) {
      const Sequence& sequence = *rows.sequence;
      for (int32_t i = sequence.n_computed / kPageTokens;
           i <= (sequence.n_computed + rows.n_rows - 1) / kPageTokens; ++i) {
        const PageId page = sequence.pages[static_cast<size_t>(i)];
        ASSERT_EQ(scheduler.allocator().ref_count(page), 1);
        ASSERT_FALSE(scheduler.cache().contains(page));
        ASSERT_TRUE(written.insert(index_of(page)).second);
      }
    }
  }
};

TEST(Scheduler, CutsAPromptIntoChunksAndAsksForLogitsAtItsEndOnly) {
  Driver driver({.n_pages = 16, .context_tokens = 256, .prefill_chunk = 24});
  Sequence& sequence = driver.add(counting(50));
  std::vector<int32_t> rows;
  std::vector<size_t> n_logits;
  for (int i = 0; i < 4; ++i) {
    const StepPlan& plan = driver.step();
    rows.push_back(plan.batch.n_rows());
    n_logits.push_back(plan.batch.logit_rows.size());
  }
  EXPECT_EQ(rows, (std::vector<int32_t>{24, 24, 2, 1}));
  EXPECT_EQ(n_logits, (std::vector<size_t>{0, 0, 1, 1}));
  driver.expect_right(sequence);
  driver.expect_no_leak();
}

// Where steps of up to 8 rows are cheap and whole chunks worth it from 20 rows on.
SchedulerOptions flat_options() {
  return {.n_pages = 64,
          .context_tokens = 512,
          .prefill_chunk = 24,
          .flat_rows = 8,
          .large_step_rows = 20};
}

TEST(Scheduler, TakesAShortPromptInFlatSteps) {
  Driver driver(flat_options());
  Sequence& decoding = driver.add(counting(3, 50));
  driver.step();
  Sequence& sequence = driver.add(counting(19));
  std::vector<int32_t> rows;
  for (int i = 0; i < 4; ++i) rows.push_back(driver.step().batch.n_rows());
  EXPECT_EQ(rows, (std::vector<int32_t>{8, 8, 6, 2})) << "one of them decodes in each";
  driver.expect_right(sequence);
  driver.expect_right(decoding);
  driver.expect_no_leak();
}

TEST(Scheduler, TakesALongPromptInWholeChunksAndItsRestInFlatSteps) {
  Driver driver(flat_options());
  Sequence& sequence = driver.add(counting(60));
  std::vector<int32_t> rows;
  for (int i = 0; i < 5; ++i) rows.push_back(driver.step().batch.n_rows());
  EXPECT_EQ(rows, (std::vector<int32_t>{24, 24, 8, 4, 1}));
  driver.expect_right(sequence);
  driver.expect_no_leak();
}

TEST(Scheduler, LetsABackgroundPromptFillHalfOfAFlatStepOnly) {
  Driver driver(flat_options());
  Sequence& decoding = driver.add(counting(3, 50));
  driver.step();
  Sequence& background = driver.add(counting(40), Priority::kBackground);
  const StepPlan& plan = driver.step();
  EXPECT_EQ(driver.rows_of(plan, decoding), 1);
  EXPECT_EQ(driver.rows_of(plan, background), 3);
  driver.generate(background, 4);
  driver.expect_right(background);
  driver.expect_right(decoding);
  driver.expect_no_leak();
}

TEST(Scheduler, PutsAllDecodingRowsAndPromptsIntoOneStep) {
  Driver driver({.n_pages = 64, .context_tokens = 256, .prefill_chunk = 64});
  Sequence& a = driver.add(counting(10, 0));
  Sequence& b = driver.add(counting(20, 30));
  driver.step();
  Sequence& c = driver.add(counting(30, 60));
  const StepPlan& plan = driver.step();
  EXPECT_EQ(driver.rows_of(plan, a), 1);
  EXPECT_EQ(driver.rows_of(plan, b), 1);
  EXPECT_EQ(driver.rows_of(plan, c), 30);
  driver.generate(c, 20);
  for (const Sequence* sequence : {&a, &b, &c}) driver.expect_right(*sequence);
  driver.expect_no_leak();
}

TEST(Scheduler, LetsAnInteractivePromptPassABackgroundPrefillAtTheNextChunk) {
  Driver driver({.n_pages = 64, .context_tokens = 512, .prefill_chunk = 64});
  Sequence& background = driver.add(counting(400), Priority::kBackground);
  EXPECT_EQ(driver.rows_of(driver.step(), background), 64);
  Sequence& interactive = driver.add(counting(100, 50), Priority::kInteractive);
  EXPECT_EQ(driver.rows_of(driver.step(), interactive), 64);
  const StepPlan& plan = driver.step();
  EXPECT_EQ(driver.rows_of(plan, interactive), 36);
  EXPECT_EQ(driver.rows_of(plan, background), 8) << "rides along with what it cannot delay much";
  driver.step();
  driver.expect_right(interactive);
  driver.expect_no_leak();
}

TEST(Scheduler, KeepsDecodingWhileLongPromptsAreComputed) {
  Driver driver({.n_pages = 128, .context_tokens = 512, .prefill_chunk = 16});
  Sequence& chat = driver.add(counting(5), Priority::kBackground);
  driver.step();
  driver.add(counting(300, 40), Priority::kInteractive);
  const int32_t before = chat.n_generated();
  for (int i = 0; i < 10; ++i) driver.step();
  EXPECT_EQ(chat.n_generated(), before + 10);
  driver.expect_right(chat);
}

TEST(Scheduler, ComputesOnlyTheLastTokenOfACachedPrompt) {
  for (int32_t n : {32, 40}) {  // ends at a page border, and inside a page
    Driver driver({.n_pages = 16, .context_tokens = 256});
    Sequence& first = driver.add(counting(n));
    driver.generate(first, 2);
    driver.scheduler.remove(first);
    Sequence& again = driver.add(counting(n));
    const StepPlan& plan = driver.step();
    EXPECT_EQ(plan.batch.n_rows(), 1);
    EXPECT_EQ(plan.batch.positions[0], n - 1);
    EXPECT_EQ(driver.n_copies, 1u);
    EXPECT_EQ(again.n_cached, n - 1);
    driver.generate(again, 8);
    driver.expect_right(again);
    driver.expect_no_leak();
  }
}

TEST(Scheduler, ReusesGeneratedTokensInALaterPrompt) {
  Driver driver({.n_pages = 16, .context_tokens = 256});
  Sequence& first = driver.add(counting(20));
  driver.generate(first, 30);
  Tokens longer = first.tokens;
  driver.scheduler.remove(first);
  longer.resize(48);
  Sequence& second = driver.add(longer);
  driver.step();
  EXPECT_EQ(second.n_cached, 47);
  driver.expect_right(second);
}

TEST(Scheduler, NeedsNoStepToPrewarmWhatIsCached) {
  Driver driver({.n_pages = 16, .context_tokens = 256});
  Sequence& first = driver.add(counting(40));
  driver.generate(first, 1);
  driver.scheduler.remove(first);
  Sequence& prewarm = driver.add(counting(40), Priority::kPrewarm, 0);
  EXPECT_TRUE(driver.scheduler.next().empty());
  EXPECT_EQ(prewarm.n_pending(), 0);
  EXPECT_EQ(prewarm.n_cached, 40);
  driver.expect_no_leak();
}

TEST(Scheduler, TakesPagesThatATwinHasComputedMeanwhile) {
  Driver driver({.n_pages = 64, .context_tokens = 512, .prefill_chunk = 32});
  Sequence& prewarm = driver.add(counting(200), Priority::kPrewarm, 0);
  driver.step();
  Sequence& wanted = driver.add(counting(200), Priority::kInteractive);
  driver.generate(wanted, 1);
  EXPECT_EQ(wanted.n_cached, 32);
  const StepPlan& plan = driver.step();
  EXPECT_LE(driver.rows_of(plan, prewarm), 8) << "only the tail that no full page holds";
  EXPECT_EQ(prewarm.n_pending(), 0);
  driver.expect_right(wanted);
  driver.expect_no_leak();
}

TEST(Scheduler, PreemptsTheLowestRankWhenPagesRunOutAndResumesItFromTheCache) {
  // Eight pages; both prompts fit, their answers together do not.
  Driver driver({.n_pages = 8, .context_tokens = 128});
  Sequence& high = driver.add(counting(40), Priority::kInteractive);
  Sequence& low = driver.add(counting(40, 50), Priority::kBackground);
  driver.generate(high, 50);
  EXPECT_EQ(driver.scheduler.running().size(), 1u);
  EXPECT_EQ(driver.scheduler.waiting().size(), 1u) << "the background sequence waits again";
  const int32_t n_before = low.n_generated();
  EXPECT_GT(n_before, 0);
  driver.scheduler.remove(high);
  driver.generate(low, 60);
  driver.expect_right(low);
  driver.expect_no_leak();
}

TEST(Scheduler, MakesRoomForAnInteractiveRequestInAFullBatch) {
  Driver driver({.n_pages = 64, .context_tokens = 128, .max_batch = 2});
  Sequence& chat = driver.add(counting(20), Priority::kBackground);
  Sequence& prewarm = driver.add(counting(100, 30), Priority::kPrewarm, 0);
  driver.step();
  Sequence& interactive = driver.add(counting(10, 60), Priority::kInteractive);
  const StepPlan& plan = driver.step();
  EXPECT_EQ(driver.rows_of(plan, interactive), 10);
  EXPECT_EQ(driver.rows_of(plan, prewarm), 0);
  ASSERT_EQ(driver.scheduler.waiting().size(), 1u);
  EXPECT_EQ(driver.scheduler.waiting()[0].get(), &prewarm);
  Sequence& second = driver.add(counting(10, 70), Priority::kBackground);
  driver.step();
  EXPECT_EQ(second.n_computed, 0) << "does not displace one of its own priority";
  EXPECT_GT(chat.n_computed, 20);
}

TEST(Scheduler, NeverPublishesAPageWhoseCopyWasNotMade) {
  Driver driver({.n_pages = 16, .context_tokens = 256, .max_batch = 1});
  Sequence& first = driver.add(counting(20));
  driver.generate(first, 1);
  driver.scheduler.remove(first);
  Sequence& planned = driver.add(counting(30), Priority::kBackground);
  driver.scheduler.next();  // plans a copy of 4 tokens; the step then fails
  driver.scheduler.remove(planned, Scheduler::Keep::kPages);
  Sequence& again = driver.add(counting(30));
  driver.generate(again, 5);
  driver.expect_right(again);
  driver.expect_no_leak();
}

TEST(Scheduler, CopiesNothingWhenThePoolHasNoPageToSpare) {
  Driver driver({.n_pages = 2, .context_tokens = 64});
  Sequence& first = driver.add(counting(20));
  driver.generate(first, 1);
  driver.scheduler.remove(first);
  Tokens other = counting(32);
  other[20] = 90;
  Sequence& second = driver.add(other);  // needs both pages, one of them holds its own beginning
  driver.generate(second, 1);
  EXPECT_EQ(second.n_cached, 16);
  driver.expect_right(second);
  driver.expect_no_leak();
}

TEST(Scheduler, RefusesWhatCanNeverFitAndNamesTheNumbers) {
  const Scheduler small({.n_pages = 4, .context_tokens = 1000});
  EXPECT_TRUE(small.check_fits(64).ok());
  const Result<void> pages = small.check_fits(65);
  ASSERT_FALSE(pages.ok());
  EXPECT_EQ(pages.error().code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(pages.error().message, HasSubstr("65 tokens need 5 KV pages"));
  EXPECT_THAT(pages.error().message, HasSubstr("4 pages (64 tokens)"));
  const Result<void> context = small.check_fits(1001);
  ASSERT_FALSE(context.ok());
  EXPECT_EQ(context.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(context.error().message, HasSubstr("1001 tokens, but the context holds 1000"));
}

// Requests of all kinds come, are cancelled and finish at random over a pool that is far too small.
// Every answer is right, nothing is shared while it is written, nothing leaks, all get done.
class RandomSchedulerTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(RandomSchedulerTest, AnswersRightWhateverHappens) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  std::mt19937 random(GetParam());
  const auto pick = [&](uint32_t n) { return static_cast<int32_t>(random() % n); };
  SchedulerOptions options{.n_pages = 7 + pick(20), .context_tokens = 100};
  options.max_batch = 1 + pick(6);
  options.prefill_chunk = std::array{1, 7, 16, 64}[static_cast<size_t>(pick(4))];
  options.flat_rows = pick(2) * 8;
  options.large_step_rows = 20;
  options.prefix_caching = pick(5) == 0 ? PrefixCaching::kOff : PrefixCaching::kOn;
  Driver driver(options);
  struct Open {
    Sequence* sequence;
    int32_t n_wanted;
  };
  std::vector<Open> open;
  int n_started = 0;
  int n_finished = 0;
  for (int step = 0; n_started < 60 || !open.empty(); ++step) {
    ASSERT_LT(step, 30000) << "somebody starves";
    if (n_started < 60 && open.size() < 8 && pick(3) == 0) {
      Tokens prompt = counting(1 + pick(75), 10 * pick(2));
      if (pick(2) == 0) prompt[static_cast<size_t>(pick(static_cast<uint32_t>(prompt.size())))] = 3;
      const int32_t n_wanted =
          std::min(pick(4) == 0 ? 0 : pick(30),
                   driver.scheduler.max_sequence_tokens() - static_cast<int32_t>(prompt.size()));
      open.push_back({&driver.add(prompt, static_cast<Priority>(pick(3)), n_wanted == 0 ? 0 : 1000),
                      n_wanted});
      ++n_started;
    }
    if (pick(60) == 0 && !open.empty()) {  // cancel one
      const size_t at = static_cast<size_t>(pick(static_cast<uint32_t>(open.size())));
      driver.expect_right(*open[at].sequence);
      driver.scheduler.remove(*open[at].sequence);
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
    }
    driver.step();
    if (::testing::Test::HasFatalFailure()) return;
    std::erase_if(open, [&](const Open& o) {
      const bool done =
          o.n_wanted == 0 ? o.sequence->n_pending() == 0 : o.sequence->n_generated() >= o.n_wanted;
      if (!done) return false;
      driver.expect_right(*o.sequence);
      driver.scheduler.remove(*o.sequence);
      ++n_finished;
      return true;
    });
    ASSERT_LE(driver.scheduler.running().size(), static_cast<size_t>(options.max_batch));
  }
  EXPECT_GT(n_finished, 10);
  driver.expect_no_leak();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomSchedulerTest, ::testing::Range(1u, 41u));

}  // namespace
}  // namespace incipit::engine
