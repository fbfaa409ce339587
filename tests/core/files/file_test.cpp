#include "core/files/file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <future>

#include "tests/support/errors.h"
#include "tests/support/scopes.h"
#include "tests/support/temp_dir.h"

using namespace kind;
using namespace kind::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

namespace {

std::vector<std::uint8_t> pattern(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return bytes;
}

/// While it lives, writing past `bytes` of any file fails with EFBIG, much as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("file: read_file returns every byte", "[unit]") {
  const TempDir dir;
  for (const std::size_t size : {1u, 2u, 4094u, 4095u, 4096u, 4097u, 65536u, 1000003u}) {
    const auto bytes = pattern(size);
    CHECK(read_file(dir.put("f", bytes)) == bytes);
    CHECK(read_file(dir / "f", size) == bytes);
  }
}

TEST_CASE("file: FileReader reads as far as it is asked, and goes on", "[unit]") {
  const TempDir dir;
  const auto bytes = pattern(100000);
  FileReader file(dir.put("f", bytes));
  const auto start = file.read_until(10);
  REQUIRE(start.size() >= 10);
  CHECK(start.size() < 1000);
  CHECK(std::equal(start.begin(), start.end(), bytes.begin()));
  CHECK_FALSE(file.at_end());
  CHECK(file.read_until(60000).size() >= 60000);
  CHECK(file.read_all() == bytes);
  CHECK(file.at_end());

  FileReader short_file(dir.put("s", pattern(10)));
  CHECK(short_file.read_until(65536).size() == 10);
  CHECK(short_file.at_end());
}

TEST_CASE("file: a pipe, which has no size, is read to its end", "[unit]") {
  const TempDir dir;
  const std::string path = dir / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const auto bytes = pattern(200000);
  auto writer = std::async(std::launch::async, [&] {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  });
  CHECK(read_file(path) == bytes);
}

TEST_CASE("file: reading says what is wrong with the file", "[unit]") {
  const TempDir dir;
  const auto message = [](const std::string& path, std::uint64_t limit = kMaxFileBytes) {
    return error_of([&] { read_file(path, limit); });
  };
  CHECK_THAT(message(dir / "none"), Equals("cannot read " + dir.path() + "/none: No such file or directory"));
  CHECK_THAT(message(dir.path()), Equals("cannot read " + dir.path() + ": it is a folder, expected a file"));
  CHECK_THAT(message(dir.put("empty", "")), Equals("cannot read " + dir.path() + "/empty: the file is empty"));
  CHECK_THAT(message(dir.put("f", pattern(100)), 99), Contains("/f: it has 100 bytes, the limit is 99"));
  CHECK_THAT(message("/dev/zero", 5000), Contains("/dev/zero: it has more than 5000 bytes"));
  CHECK_THAT(message(dir / "f/below"), Contains("/f/below: Not a directory"));
  std::filesystem::create_symlink("loop", dir / "loop");
  CHECK_THAT(message(dir / "loop"), Contains("/loop: Too many levels of symbolic links"));
  ::chmod(dir.path().c_str(), 0755);
  ::chmod((dir / "f").c_str(), 0);
  const UnprivilegedScope unprivileged;
  CHECK_THAT(message(dir / "f"), Contains("/f: Permission denied"));
}

TEST_CASE("file: write_file_atomic makes and replaces files and leaves nothing else", "[unit]") {
  const TempDir dir;
  const auto bytes = pattern(100001);
  write_file_atomic(dir / "f", bytes);
  CHECK(slurp(dir / "f") == bytes);
  write_file_atomic(dir / "f", "short\n");
  CHECK(slurp(dir / "f") == std::vector<std::uint8_t>{'s', 'h', 'o', 'r', 't', '\n'});
  write_file_atomic(dir / "empty", "");
  CHECK(slurp(dir / "empty").empty());
  CHECK(dir.count() == 2);

  const mode_t mask = ::umask(022);
  write_file_atomic(dir / "mode", "x");
  ::umask(mask);
  struct stat status {};
  REQUIRE(::stat((dir / "mode").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
}

TEST_CASE("file: a name without a folder is written to the current one", "[unit]") {
  const TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  const std::string message = error_of([] { write_file_atomic("plain", "text"); });
  std::filesystem::current_path(before);
  CHECK(message == "no error");
  CHECK(slurp(dir / "plain").size() == 4);
}

TEST_CASE("file: what was there stays until commit, and for good without it", "[unit]") {
  const TempDir dir;
  dir.put("f", "old");
  {
    AtomicFile file(dir / "f");
    file.write("new ");
    file.write("content");
    CHECK(slurp(dir / "f").size() == 3);
    CHECK(dir.count() <= 2);  // the new file may have a name for the time being
  }
  CHECK(slurp(dir / "f").size() == 3);
  CHECK(dir.count() == 1);
  AtomicFile file(dir / "f");
  file.write("new ");
  file.write("content");
  file.commit();
  CHECK(slurp(dir / "f").size() == 11);
  CHECK(dir.count() == 1);
}

TEST_CASE("file: two writers of one file do not disturb each other", "[unit]") {
  const TempDir dir;
  AtomicFile first(dir / "f");
  AtomicFile second(dir / "f");
  first.write("first");
  second.write("second");
  second.commit();
  CHECK(slurp(dir / "f").size() == 6);
  first.commit();
  CHECK(slurp(dir / "f").size() == 5);
  CHECK(dir.count() == 1);
}

TEST_CASE("file: a failed write names file and reason, keeps the old file and leaves no other", "[unit]") {
  const TempDir dir;
  dir.put("f", "old");
  std::string message;
  {
    const FileSizeLimit limit(4096);
    message = error_of([&] { write_file_atomic(dir / "f", pattern(10000)); });
  }
  CHECK_THAT(message, Equals("cannot write " + dir.path() + "/f: File too large"));
  CHECK(slurp(dir / "f").size() == 3);
  CHECK(dir.count() == 1);
}

TEST_CASE("file: writing refuses folders, devices and missing folders before anything is made", "[unit]") {
  const TempDir dir;
  const auto message = [](const std::string& path) { return error_of([&] { write_file_atomic(path, "x"); }); };
  CHECK_THAT(message(dir / "none/f"), Equals("cannot write " + dir.path() + "/none/f: No such file or directory"));
  CHECK_THAT(message(dir.path()), Contains(": it is a folder, expected the name of a file"));
  CHECK_THAT(message("/dev/null"), Contains("cannot write /dev/null: it is not a regular file"));
  CHECK_THAT(message(""), Contains("empty name"));
  dir.put("f", "x");
  CHECK_THAT(message(dir / "f/g"), Contains("/f/g: Not a directory"));
  ::chmod(dir.path().c_str(), 0555);
  {
    const UnprivilegedScope unprivileged;
    CHECK_THAT(message(dir / "g"), Contains("/g: Permission denied"));
  }
  ::chmod(dir.path().c_str(), 0700);
  CHECK(dir.count() == 1);
}

TEST_CASE("file: a symbolic link is replaced, its target is not written", "[unit]") {
  const TempDir dir;
  dir.put("target", "old");
  std::filesystem::create_symlink("target", dir / "link");
  write_file_atomic(dir / "link", "new text");
  CHECK(slurp(dir / "target").size() == 3);
  CHECK(slurp(dir / "link").size() == 8);
  CHECK_FALSE(std::filesystem::is_symlink(dir / "link"));
}

TEST_CASE("file: list_folder gives every entry by name, or says which folder cannot be listed", "[unit]") {
  const TempDir dir;
  for (const char* name : {"b", "a", "\xc3\xa4 \n", ".c", "B"}) dir.put(name, "x");
  std::filesystem::create_directory(dir / "d");
  CHECK(list_folder(dir.path()) ==
        std::vector<std::string>{dir / ".c", dir / "B", dir / "a", dir / "b", dir / "d", dir / "\xc3\xa4 \n"});
  CHECK(list_folder(dir / "d").empty());
  CHECK_THAT(error_of([&] { list_folder(dir / "none"); }),
             Equals("cannot list " + dir / "none: No such file or directory"));
  CHECK_THAT(error_of([&] { list_folder(dir / "a"); }), Equals("cannot list " + dir / "a: Not a directory"));
}
