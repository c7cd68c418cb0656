#include "lsp/completion/trigger_policy.h"

#include <gmock/gmock.h>

#include "tests/support/marked_text.h"

namespace incipit::lsp {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string refusal(std::string_view marked_text, std::string_view path, bool invoked) {
  const test::MarkedText marked = test::parse_marked(marked_text);
  return TriggerPolicy{}.refusal(look_at(marked.text, marked.cursor, nullptr), path, invoked);
}

TEST(TriggerPolicy, AsksAtTheEndOfALineAndBeforeClosers) {
  EXPECT_THAT(refusal("x = $0\n", "a.py", false), IsEmpty());
  EXPECT_THAT(refusal("foo($0)\n", "a.py", false), IsEmpty());
  EXPECT_THAT(refusal("foo($0, b)\n", "a.py", false), IsEmpty());
}

TEST(TriggerPolicy, AsksWhereTheRestOfTheLineLeavesAGap) {
  for (const char* place : {"for (i = 0; $0 ; i++) {\n", "if ($0) {\n", "if x$0:\n", "if x $0 {\n",
                            "a = \"$0\" + b\n", "vector<$0> x\n", "a = <b $0/>\n", "<b>$0</b>\n"}) {
    EXPECT_THAT(refusal(place, "a.tsx", false), IsEmpty()) << place;
  }
}

TEST(TriggerPolicy, DoesNotAskWhereTheLineGoesOnUnlessToldTo) {
  for (const char* place :
       {"if $0 == 3:\n", "foo($0 + b)\n", "x = {$0\"a\": 1}\n", "x = 1  $0# c\n", "x = 1 $0 // c\n",
        "a $0 b\n", "$0(a)\n", "std$0::move(a)\n", "a $0 >= b\n", "f($0 \"a\")\n"}) {
    EXPECT_THAT(refusal(place, "a.py", false), HasSubstr("goes on")) << place;
    EXPECT_THAT(refusal(place, "a.py", true), IsEmpty()) << place;
  }
}

TEST(TriggerPolicy, DoesNotAskBeforeAWordUnlessToldTo) {
  EXPECT_THAT(refusal("pri$0nt()\n", "a.py", false), HasSubstr("word"));
  EXPECT_THAT(refusal("$0é\n", "a.py", false), HasSubstr("word"));
  EXPECT_THAT(refusal("pri$0nt()\n", "a.py", true), IsEmpty());
}

TEST(TriggerPolicy, DoesNotAskInAnEmptyDocument) {
  EXPECT_THAT(refusal(" \n$0\n", "a.py", false), HasSubstr("empty"));
  EXPECT_THAT(refusal(" \n$0\n", "a.py", true), IsEmpty());
}

TEST(TriggerPolicy, NeverAsksInASecretFile) {
  EXPECT_THAT(refusal("KEY=$0\n", ".env", false), HasSubstr("secrets"));
  EXPECT_THAT(refusal("KEY=$0\n", ".env", true), HasSubstr("secrets"));
}

}  // namespace
}  // namespace incipit::lsp
