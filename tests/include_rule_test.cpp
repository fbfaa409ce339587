#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/source_dir.h"

// Which folder may include from which: core <- layers <- {losses, nets} <- {train, infer}, and which rooms of a folder
// from which of its others. Siblings never see each other.

namespace kind::testing {
namespace {

namespace fs = std::filesystem;

/// For each folder, the others that it may include from.
const std::map<std::string, std::set<std::string>>& allowed() {
  static const std::map<std::string, std::set<std::string>> rule = [] {
    std::map<std::string, std::set<std::string>> r;
    std::set<std::string> below;
    // A folder's rooms, each with those of the same folder that it may see; all see everything in `below`.
    const auto add = [&](const std::map<std::string, std::set<std::string>>& rooms) {
      for (const auto& [room, others] : rooms) {
        r[room] = below;
        r[room].insert(others.begin(), others.end());
      }
    };
    const auto lower = [&](const std::vector<std::string>& rooms) { below.insert(rooms.begin(), rooms.end()); };
    add({{"core/base", {}},
         {"core/tensor", {"core/base"}},
         {"core/kernels", {"core/base"}},
         {"core/files", {"core/base", "core/tensor"}},
         {"core/config", {"core/base", "core/files"}},
         {"core/program", {"core/base", "core/files"}},
         {"core/image", {"core/base", "core/tensor", "core/files"}},
         {"core/autograd", {"core/base", "core/tensor"}},
         {"core/ops", {"core/base", "core/tensor", "core/autograd"}}});
    for (const auto& [room, others] : r) below.insert(room);
    add({{"layers", {}}, {"layers/fused", {"layers"}}});
    lower({"layers", "layers/fused"});
    add({{"losses", {}}, {"losses/metrics", {"losses"}}});
    add({{"nets", {}},
         {"nets/data", {}},
         {"nets/tensorflow", {"nets"}},
         {"nets/onnx", {"nets"}},
         {"nets/c", {"nets"}}});
    lower({"losses", "losses/metrics", "nets", "nets/data", "nets/tensorflow", "nets/onnx"});
    add({{"train/data", {}},
         {"train/stages", {"train/data"}},
         {"train/parallel", {}},
         {"train/trainer", {"train/data", "train/stages", "train/parallel"}},
         {"train/sweep", {"train/data", "train/stages", "train/parallel", "train/trainer"}},
         {"train/report", {"train/data", "train/parallel", "train/trainer", "train/sweep"}},
         {"train", {"train/data", "train/stages", "train/parallel", "train/trainer", "train/sweep", "train/report"}}});
    add({{"infer/photo", {}}, {"infer/eval", {}}, {"infer/page", {}}, {"infer", {"infer/photo", "infer/eval"}}});
    return r;
  }();
  return rule;
}

/// The folder that a path from the repository's root falls under: core/tensor, layers ... Of folders deeper than a room
/// the room.
std::string folder_of(const std::string& path) {
  const std::size_t first = path.find('/'), second = path.find('/', first + 1);
  return path.substr(0, second == std::string::npos ? first : second);
}

/// What breaks the rule in one source, given by its path from the root and its text.
std::vector<std::string> violations(const std::string& path, const std::string& source) {
  static const std::regex include(R"rx(^\s*#\s*include\s*([<"])([^>"]+)[>"])rx");
  const std::string folder = folder_of(path);
  const auto rule = allowed().find(folder);
  if (rule == allowed().end()) return {path + ": no rule says what the folder " + folder + " may include"};
  // Files built with instruction-set flags must not hold code that the linker could take for everybody's.
  const bool has_isa_flags = path.find("/avx") != std::string::npos && path.find(".cpp") != std::string::npos;
  const std::set<std::string> harmless{"cstddef", "cstdint", "immintrin.h"};
  std::vector<std::string> found;
  std::istringstream lines(source);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (!std::regex_search(line, match, include)) continue;
    const std::string target = match[2], target_folder = folder_of(target);
    const bool ours = allowed().count(target_folder) > 0;
    const std::string where = path + ": #include " + target;
    if (match[1] == "\"" && !ours) found.push_back(where + " is not written from the repository's root");
    if (match[1] == "<" && ours) found.push_back(where + " is ours and belongs in quotes");
    if (ours && target_folder != folder && rule->second.count(target_folder) == 0) {
      found.push_back(where + ": " + folder + " must not include " + target_folder);
    }
    // What all instruction sets share is declarations alone, or code inside each file's own namespace.
    const bool shared = target == "core/kernels/block_kernels.h" || target == "core/kernels/block_kernels_impl.h" ||
                        target == "core/kernels/gemm_kernel.h";
    if (has_isa_flags && !shared && (ours ? target.find("/avx") == std::string::npos : harmless.count(target) == 0)) {
      found.push_back(where + ": files built with instruction-set flags share no inline code");
    }
  }
  return found;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

bool is_source(const fs::path& path) { return path.extension() == ".h" || path.extension() == ".cpp"; }

TEST_CASE("include rule: no source includes what it must not") {
  const fs::path root = source_dir();
  int files = 0;
  for (const std::string top : {"core", "layers", "losses", "nets", "train", "infer"}) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / top)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      ++files;
      const std::string path = entry.path().lexically_relative(root).generic_string();
      for (const std::string& violation : violations(path, read(entry.path()))) FAIL_CHECK(violation);
    }
  }
  CHECK(files >= 30);  // else the scan looked in the wrong place
}

TEST_CASE("include rule: samples that break it are found") {
  const auto broken = [](const std::string& path, const std::string& source) {
    return static_cast<int>(violations(path, source).size());
  };
  CHECK(broken("core/base/random.cpp", "#include \"core/base/random.h\"\n\n#include <cmath>\n") == 0);
  CHECK(broken("core/base/random.cpp", "#include \"core/tensor/shape.h\"\n") == 1);
  CHECK(broken("core/base/random.cpp", "  #  include   \"core/tensor/shape.h\"  // why\n") == 1);
  CHECK(broken("core/tensor/tensor.h", "#include \"core/autograd/variable.h\"\n") == 1);
  CHECK(broken("core/autograd/variable.h", "#include \"core/ops/reduce.h\"\n") == 1);
  CHECK(broken("core/ops/reduce.cpp", "#include \"core/kernels/kernels.h\"\n") == 1);
  CHECK(broken("core/kernels/kernels.cpp", "#include \"core/tensor/tensor.h\"\n#include \"core/base/error.h\"\n") == 1);
  CHECK(broken("core/kernels/gemm_conv.cpp", "#include \"core/kernels/gemm_conv.h\"\n") == 0);
  CHECK(broken("core/files/npy.cpp", "#include \"core/tensor/tensor.h\"\n#include \"core/base/error.h\"\n") == 0);
  CHECK(broken("core/files/npy.cpp", "#include \"core/autograd/variable.h\"\n") == 1);
  CHECK(broken("core/ops/reduce.cpp", "#include \"layers/conv2d.h\"\n") == 1);
  CHECK(broken("layers/conv2d.cpp", "#include \"core/kernels/kernels.h\"\n#include \"core/ops/reduce.h\"\n") == 0);
  CHECK(broken("layers/conv2d.cpp", "#include \"losses/ssim.h\"\n#include \"nets/unet.h\"\n") == 2);
  CHECK(broken("losses/ssim.cpp", "#include \"nets/unet.h\"\n") == 1);
  CHECK(broken("losses/metrics/psnr.cpp", "#include \"losses/term.h\"\n#include \"core/ops/reduce.h\"\n") == 0);
  CHECK(broken("nets/unet.cpp", "#include \"losses/ssim.h\"\n") == 1);
  CHECK(broken("train/trainer/trainer.cpp", "#include \"nets/unet.h\"\n#include \"losses/ssim.h\"\n") == 0);
  CHECK(broken("train/trainer/trainer.cpp", "#include \"infer/enhance.h\"\n") == 1);
  CHECK(broken("infer/enhance.cpp", "#include \"train/trainer/trainer.h\"\n") == 1);
  CHECK(broken("layers/conv2d.cpp", "#include \"conv2d.h\"\n") == 1);
  CHECK(broken("layers/conv2d.cpp", "#include \"../core/base/error.h\"\n") == 1);
  CHECK(broken("layers/conv2d.cpp", "#include <layers/pool.h>\n") == 1);
  CHECK(broken("layers/conv2d.cpp", "#include \"tests/support/gradcheck.h\"\n") == 1);
  CHECK(broken("core/other/thing.cpp", "") == 1);
  CHECK(broken("core/kernels/avx2/gemm.cpp", "#include \"core/kernels/gemm_kernel.h\"\n#include <immintrin.h>\n") == 0);
  CHECK(broken("core/kernels/avx2/gemm.cpp", "#include <vector>\n") == 1);
  CHECK(broken("core/kernels/avx512/gemm.cpp", "#include \"core/base/error.h\"\n") == 1);
}

/// The names of the types that a source defines in our namespace itself (not nested, not in an unnamed namespace).
std::set<std::string> types_of(const std::string& source) {
  static const std::regex type(
      R"(^(?:template <.*> *)?(?:struct|class|enum|enum class) (\w+)(?: final)?(?: : .*)? *\{)");
  std::set<std::string> names;
  std::istringstream lines(source);
  bool unnamed = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "namespace {") unnamed = true;
    if (line == "}  // namespace") unnamed = false;
    std::smatch match;
    if (!unnamed && std::regex_search(line, match, type)) names.insert(match[1]);
  }
  return names;
}

TEST_CASE("one definition rule: no two files define types of one name") {
  CHECK(types_of("namespace kind {\nnamespace {\nstruct A {\n};\n}  // namespace\nstruct B : C {\n  struct D {\n") ==
        std::set<std::string>{"B"});
  CHECK(types_of("template <class T>\nclass A {\n};\nenum class B { kOne };\nstruct C;\n") ==
        std::set<std::string>{"A", "B"});
  const fs::path root = source_dir();
  std::map<std::string, std::string> first;  // where a name is
  for (const std::string top : {"core", "layers", "losses", "nets", "train", "infer"}) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / top)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      const std::string path = entry.path().lexically_relative(root).generic_string(), text = read(entry.path());
      // Programs and instruction sets have namespaces of their own.
      if (text.find("\nnamespace kind {") == std::string::npos) continue;
      for (const std::string& name : types_of(text)) {
        const auto [at, fresh] = first.emplace(name, path);
        INFO(name << " is defined in " << at->second << " and in " << path);
        CHECK(fresh);
      }
    }
  }
  CHECK(first.size() >= 50);
}

TEST_CASE("every test file is in the list of tests/CMakeLists.txt") {
  const fs::path tests = fs::path(source_dir()) / "tests";
  const std::string list = read(tests / "CMakeLists.txt");
  int files = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(tests)) {
    const std::string path = entry.path().lexically_relative(tests).generic_string();
    if (path.size() < 9 || path.compare(path.size() - 9, 9, "_test.cpp") != 0) continue;
    ++files;
    INFO(path << " is not listed in tests/CMakeLists.txt, so it never runs");
    CHECK(list.find("  " + path) != std::string::npos);
  }
  CHECK(files >= 10);
}

TEST_CASE("no test case's name has a meaning for CMake's lists or command lines") {
  static const std::regex name("\n(?:TEMPLATE_)?TEST_CASE\\(\\s*\"([^\"]*)\"");
  int cases = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(fs::path(source_dir()) / "tests")) {
    if (!entry.is_regular_file() || entry.path().extension() != ".cpp") continue;
    const std::string text = read(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), name); at != std::sregex_iterator(); ++at, ++cases) {
      INFO(entry.path().string() << ": " << (*at)[1]);
      // A semicolon ends an item, brackets keep items together; what begins with a dash is an option.
      CHECK((*at)[1].str().front() != '-');
      CHECK((*at)[1].str().find_first_of(";[]") == std::string::npos);
    }
  }
  CHECK(cases >= 100);
}

}  // namespace
}  // namespace kind::testing
