#include "lsp/rpc/stdio_transport.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

namespace incipit::lsp {
namespace {

class FdTransportTest : public ::testing::Test {
 protected:
  FdTransportTest() {
    ::signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    EXPECT_EQ(::pipe(in.data()), 0);
    EXPECT_EQ(::pipe(out.data()), 0);
    server_in_ = UniqueFd(in[0]);
    to_server_ = UniqueFd(in[1]);
    from_server_ = UniqueFd(out[0]);
    server_out_ = UniqueFd(out[1]);
  }

  UniqueFd server_in_, to_server_, from_server_, server_out_;
};

TEST_F(FdTransportTest, ReadsWhatIsThereAndThenTheEnd) {
  FdTransport transport(server_in_.get(), server_out_.get());
  ASSERT_EQ(::write(to_server_.get(), "abc", 3), 3);
  std::string bytes = "kept ";
  EXPECT_TRUE(transport.read(bytes));
  EXPECT_EQ(bytes, "kept abc");
  to_server_.reset();
  EXPECT_FALSE(transport.read(bytes));
}

TEST_F(FdTransportTest, EndsWhenTheReaderOfItsOutputIsGone) {
  FdTransport transport(server_in_.get(), server_out_.get());
  std::thread breaker([this] { from_server_.reset(); });
  std::string bytes;
  EXPECT_FALSE(transport.read(bytes));
  breaker.join();
  EXPECT_FALSE(transport.write("nobody hears this"));
}

TEST_F(FdTransportTest, CloseWakesAReader) {
  FdTransport transport(server_in_.get(), server_out_.get());
  std::thread closer([&transport] { transport.close(); });
  std::string bytes;
  EXPECT_FALSE(transport.read(bytes));
  closer.join();
}

TEST_F(FdTransportTest, WritesMoreThanAPipeHoldsToASlowReader) {
  FdTransport transport(server_in_.get(), server_out_.get());
  const std::string sent(1 << 20, 'x');
  std::string received;
  std::thread reader([&] {
    std::array<char, 1000> bytes{};
    while (received.size() < sent.size()) {
      const ssize_t n = ::read(from_server_.get(), bytes.data(), bytes.size());
      if (n <= 0) return;
      received.append(bytes.data(), static_cast<size_t>(n));
    }
  });
  EXPECT_TRUE(transport.write(sent));
  reader.join();
  EXPECT_EQ(received, sent);
}

TEST_F(FdTransportTest, CloseFreesAWriterThatNobodyReads) {
  FdTransport transport(server_in_.get(), server_out_.get());
  std::thread closer([&transport] { transport.close(); });
  EXPECT_FALSE(transport.write(std::string(1 << 20, 'x')));
  closer.join();
}

TEST_F(FdTransportTest, TheEndOfInputFreesAWriterThatNobodyReads) {
  FdTransport transport(server_in_.get(), server_out_.get());
  std::thread reader([&transport] {
    std::string bytes;
    EXPECT_FALSE(transport.read(bytes));
  });
  std::thread closer([this] { to_server_.reset(); });
  EXPECT_FALSE(transport.write(std::string(1 << 20, 'x')));
  closer.join();
  reader.join();
}

TEST_F(FdTransportTest, WritesToAReaderThatListensAfterTheEndOfInput) {
  FdTransport transport(server_in_.get(), server_out_.get());
  to_server_.reset();
  std::string bytes;
  EXPECT_FALSE(transport.read(bytes));
  EXPECT_TRUE(transport.write("the last words"));
}

TEST(FdTransport, WithoutDescriptorsThereIsNothingToRead) {
  FdTransport transport(-1, -1);
  std::string bytes;
  EXPECT_FALSE(transport.read(bytes));
  EXPECT_FALSE(transport.write("x"));
}

}  // namespace
}  // namespace incipit::lsp
