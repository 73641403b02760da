// SPDX-License-Identifier: Apache-2.0
#include "store/store_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <map>
#include <sstream>
#include <system_error>
#include <vector>

#include "base/hash.h"
#include "base/secret.h"
#include "store/log_store.h"
#include "store/rocksdb_keys.h"
#include "task/bytes.h"

namespace skep::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStoreFileName = "skep.store";
constexpr std::string_view kPidFileName = "skep.pid";
constexpr std::string_view kSealFileName = "skep.seal";
constexpr std::string_view kChecksumLine = "checksum ";
constexpr std::uint64_t kReservePart = 4;  // of a small disk

std::string path_of(const std::string& directory, std::string_view name) {
  return directory + "/" + std::string(name);
}

std::string hex(std::uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

// A descriptor that is closed at the end of its scope.
class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0644)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return os_error(errno, "write " + path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return ok();
}

// Root may write for a manager that runs as another user, whose the directory is.
Result<void> give_to_owner_of(const std::string& directory, int fd, const std::string& path) {
  struct stat owner {};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &owner) != 0) return ok();
  if (::fchown(fd, owner.st_uid, owner.st_gid) != 0) return os_error(errno, "give away " + path);
  return ok();
}

// The file is the old one or the new one at every instant, also after a power loss.
Result<void> replace_file(const std::string& directory, std::string_view name, std::string text,
                          mode_t mode = 0644) {
  text += std::string(kChecksumLine) + hex(crc32c(text)) + "\n";
  const std::string path = path_of(directory, name);
  const std::string draft = path + ".new";
  {
    const File file(draft, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (!file.is_open()) return os_error(errno, "create " + draft);
    SKEP_TRY(give_to_owner_of(directory, file.fd(), draft));
    SKEP_TRY(write_all(file.fd(), text, draft));
    if (::fsync(file.fd()) != 0) return os_error(errno, "sync " + draft);
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) return os_error(errno, "rename " + draft);
  return sync_directory(directory);
}

std::string secret_text(std::uint64_t secret) {
  std::string bytes;
  append_fixed(bytes, secret, 8);
  return hex_of(bytes);
}

bool parse_secret(const std::string& text, std::uint64_t& secret) {
  const std::string bytes = bytes_of_hex(text);
  if (bytes.size() == 8) secret = read_fixed(bytes);
  return bytes.size() == 8;
}

Result<StoreFile> parse_store_file(const std::string& path, const std::string& text) {
  StoreFile file;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  if (line != "skep store")
    return fail(Code::kCorrupt, path + " is damaged: it does not begin with 'skep store'");
  while (std::getline(lines, line)) {
    const auto blank = line.find(' ');
    const std::string name = line.substr(0, blank);
    const std::string value = blank == std::string::npos ? "" : line.substr(blank + 1);
    bool is_fine = true;
    if (name == "format") is_fine = parse_number(value, file.format);
    if (name == "shards") is_fine = parse_number(value, file.shard_count) && file.shard_count > 0;
    if (name == "state") file.is_ready = value == "ready";
    if (name == "created_by") file.created_by = value;
    if (name == "created_at") file.created_at = value;
    if (name == "engine") file.engine = value;
    if (name == "secret") is_fine = parse_secret(value, file.secret);
    if (!is_fine) return fail(Code::kCorrupt, path + " is damaged: '" + line + "' is not understood");
  }
  if (file.format == 0) return fail(Code::kCorrupt, path + " is damaged: it names no format");
  return file;
}

// 0: there is no such engine.
std::uint32_t newest_format(std::string_view engine) {
  if (engine == kRocksdbEngine) return kStoreFormat;
  return engine == kLogEngine ? kLogFormat : 0;
}

// What a fresh file system has, what is left where the making of a store broke off at once, and what may be
// made before the store (tokens, certificates), is as good as nothing.
bool is_as_good_as_empty(const std::string& directory, std::error_code& error) {
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    const bool is_ours = name == std::string(kStoreFileName) + ".new" || name == "tls" ||
                         name.starts_with(kTokensFileName) || name.starts_with(kFleetFileName);
    if (name != "lost+found" && !is_ours) return false;
  }
  return true;
}

// What a seal says of one file.
struct SealedFile {
  std::uint64_t bytes = 0;
  std::string checksum;  // "-" for the large ones, which have checksums elsewhere
  bool operator==(const SealedFile&) const = default;
};
using Seal = std::map<std::string, SealedFile>;

bool is_large_file(std::string_view name) {
  return name.ends_with(".sst") || name.ends_with(".blob") || name.ends_with(".segment");
}
bool is_sealed_file(std::string_view name) {
  return is_large_file(name) || name.ends_with(".log") || name.starts_with("MANIFEST-") ||
         name == "CURRENT" || name == kStoreFileName;
}

Result<Seal> take_stock(const std::string& directory) {
  Seal seal;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    if (!is_sealed_file(name)) continue;
    SealedFile file{at->file_size(error), "-"};
    if (error) break;
    if (!is_large_file(name)) {
      SKEP_TRY(const auto bytes, read_file(at->path()));
      file.checksum = hex(crc32c(bytes));
    }
    seal[name] = file;
  }
  if (error) return os_error(error.value(), "list directory " + directory);
  return seal;
}

Result<Seal> parse_seal(const std::string& path, const std::string& text) {
  Seal seal;
  std::istringstream lines(text);
  std::string name;
  SealedFile file;
  while (lines >> name >> file.bytes >> file.checksum) seal[name] = file;
  if (!lines.eof()) return fail(Code::kCorrupt, path + " is damaged: a line is not understood");
  return seal;
}

Result<void> compare(const std::string& directory, const Seal& sealed, const Seal& found) {
  for (const auto& [name, file] : sealed) {
    const auto at = found.find(name);
    const std::string path = path_of(directory, name);
    if (at == found.end())
      return fail(Code::kCorrupt, path + " is missing: it was there when the store was closed");
    if (at->second.bytes != file.bytes) {
      return fail(Code::kCorrupt, path + " has " + std::to_string(at->second.bytes) + " bytes; it had " +
                                      std::to_string(file.bytes) + " when the store was closed");
    }
    if (at->second != file)
      return fail(Code::kCorrupt, path + " is damaged: it was changed after the store was closed");
  }
  for (const auto& [name, file] : found) {
    if (!sealed.contains(name)) {
      return fail(Code::kCorrupt, path_of(directory, name) + " was not there when the store was closed");
    }
  }
  return ok();
}

}  // namespace

Result<std::string> read_checked_file(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error) && !error) return fail(Code::kNotFound, path + " does not exist");
  SKEP_TRY(const auto bytes, read_file(path));
  const std::string_view text = bytes;
  const auto at = text.rfind(kChecksumLine);
  if (at == std::string_view::npos ||
      text.substr(at) != std::string(kChecksumLine) + hex(crc32c(text.substr(0, at))) + "\n") {
    return fail(Code::kCorrupt, path + " is damaged: its checksum does not match");
  }
  return std::string(text.substr(0, at));
}

Result<void> write_secret_file(const std::string& directory, std::string_view name, std::string text) {
  return replace_file(directory, name, std::move(text), 0600);
}

Result<void> sync_directory(const std::string& directory) {
  const File file(directory, O_RDONLY | O_DIRECTORY);
  if (!file.is_open() || ::fsync(file.fd()) != 0) return os_error(errno, "sync directory " + directory);
  return ok();
}

Error os_error(int error, const std::string& doing) {
  Code code = Code::kUnavailable;
  if (error == EACCES || error == EPERM || error == EROFS || error == ENOTDIR || error == ENOENT ||
      error == EISDIR) {
    code = Code::kInvalid;
  }
  return fail(code, doing + ": " + std::system_category().message(error));
}

Error as_outage(Error error) {
  if (error.code == Code::kInvalid) error.code = Code::kUnavailable;
  return error;
}

Result<std::optional<StoreFile>> look_at_directory(const std::string& directory) {
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) {
    if (errno != ENOENT) return os_error(errno, "store directory " + directory);
    const auto parent = fs::path(directory).lexically_normal().parent_path();
    const std::string shown = parent.empty() ? "." : parent.string();
    if (::stat(shown.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
      return fail(Code::kInvalid,
                  "store directory " + directory + " can not be made: " + shown + " is no directory");
    }
    if (::access(shown.c_str(), W_OK | X_OK) != 0)
      return os_error(errno, "store directory " + directory + " can not be made");
    return std::optional<StoreFile>();
  }
  if (!S_ISDIR(status.st_mode))
    return fail(Code::kInvalid, "store directory " + directory + " is not a directory");
  if (::access(directory.c_str(), R_OK | X_OK) != 0)
    return os_error(errno, "store directory " + directory + " can not be read");
  const std::string path = path_of(directory, kStoreFileName);
  auto text = read_checked_file(path);
  if (!text && text.error().code != Code::kNotFound) return text.error();
  if (!text) {
    std::error_code error;
    const bool is_empty = is_as_good_as_empty(directory, error);
    if (error) return os_error(error.value(), "list directory " + directory);
    if (is_empty) return std::optional<StoreFile>();
    return fail(Code::kInvalid,
                directory + " is not empty and no skep store: nothing was touched; name another directory");
  }
  SKEP_TRY(auto file, parse_store_file(path, text.value()));
  const std::uint32_t newest = newest_format(file.engine);
  if (newest == 0) {
    return fail(Code::kInvalid,
                "the store in " + directory + " is of the engine '" + file.engine +
                    "', which this program does not have: a newer skep made it, use that one");
  }
  if (file.format > newest) {
    return fail(Code::kInvalid, "the store in " + directory + " has format " + std::to_string(file.format) +
                                    " and this program reads up to " + std::to_string(newest) +
                                    ": a newer skep made it, use that one");
  }
  if (file.format < newest) {
    return fail(Code::kInvalid, "the store in " + directory + " has format " + std::to_string(file.format) +
                                    ", of a skep from before its first release: this program reads " +
                                    std::to_string(newest) + "; make a new store");
  }
  if (file.shard_count == 0) return fail(Code::kCorrupt, path + " is damaged: it names no shards");
  return std::optional(std::move(file));
}

Result<void> check_engine(const std::string& directory, const std::optional<StoreFile>& found,
                          std::string_view engine) {
  if (!found || found->engine == engine) return ok();
  return fail(Code::kInvalid, "the store in " + directory + " was made by the engine " + found->engine +
                                  ": open it as " + found->engine + ":" + directory +
                                  ", or name another directory");
}

Result<void> make_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return os_error(errno, "no directory " + directory + " can be made for the store");
  if (::access(directory.c_str(), W_OK | X_OK) != 0)
    return os_error(errno, "store directory " + directory + " can not be written");
  const auto parent = fs::path(directory).lexically_normal().parent_path();
  return sync_directory(parent.empty() ? "." : parent.string());
}

Result<void> write_store_file(const std::string& directory, const StoreFile& file) {
  return replace_file(directory, kStoreFileName,
                      "skep store\nformat " + std::to_string(file.format) + "\nshards " +
                          std::to_string(file.shard_count) + "\nstate " +
                          (file.is_ready ? "ready" : "being_made") + "\ncreated_by " + file.created_by +
                          "\ncreated_at " + file.created_at + "\nengine " + file.engine + "\nsecret " +
                          secret_text(file.secret) + "\n");
}

std::uint64_t draw_secret() {
  std::uint64_t secret = 0;
  while (secret == 0) secret = read_fixed(random_secret(8));
  return secret;
}

void write_pid_file(const std::string& directory) {
  // For people only: a store without it works as well.
  const File file(path_of(directory, kPidFileName), O_WRONLY | O_CREAT | O_TRUNC);
  if (file.is_open()) (void)write_all(file.fd(), std::to_string(::getpid()) + "\n", "");
}

void remove_pid_file(const std::string& directory) {
  ::unlink(path_of(directory, kPidFileName).c_str());
}

std::string describe_holder(const std::string& directory) {
  long pid = 0;
  if (const auto file = read_file(path_of(directory, kPidFileName))) {
    const std::string_view text = file.value();
    if (!parse_number(text.substr(0, text.find('\n')), pid)) pid = 0;
  }
  if (pid == ::getpid()) return "this process";
  return pid > 0 ? "process " + std::to_string(pid) : "another process";
}

Result<void> write_seal(const std::string& directory) {
  SKEP_TRY(const auto seal, take_stock(directory));
  std::string text;
  for (const auto& [name, file] : seal)
    text += name + " " + std::to_string(file.bytes) + " " + file.checksum + "\n";
  return replace_file(directory, kSealFileName, std::move(text));
}

Result<bool> check_seal(const std::string& directory, AfterCheck after) {
  const std::string path = path_of(directory, kSealFileName);
  auto text = read_checked_file(path);
  if (!text && text.error().code == Code::kNotFound) return false;
  if (!text) return text.error();
  SKEP_TRY(const auto sealed, parse_seal(path, text.value()));
  SKEP_TRY(const auto found, take_stock(directory));
  SKEP_TRY(compare(directory, sealed, found));
  if (after == AfterCheck::kKeep) return true;
  if (::unlink(path.c_str()) != 0) return os_error(errno, "remove " + path);
  SKEP_TRY(sync_directory(directory));
  return true;
}

std::uint64_t directory_bytes(const std::string& directory) {
  std::uint64_t sum = 0;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;  // files come and go while the store is open
    const auto bytes = at->file_size(gone);
    if (!gone) sum += bytes;
  }
  return sum;
}

std::uint64_t disk_free_bytes(const std::string& directory) {
  struct statvfs disk {};
  if (::statvfs(directory.c_str(), &disk) != 0) return 0;
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

DiskRoom disk_room(const std::string& directory, std::uint64_t wanted) {
  struct statvfs disk {};
  if (::statvfs(directory.c_str(), &disk) != 0) return {};
  const std::uint64_t whole = std::uint64_t{disk.f_blocks} * disk.f_frsize;
  return {std::uint64_t{disk.f_bavail} * disk.f_frsize, std::min(wanted, whole / kReservePart)};
}

Result<std::string> read_file(const std::string& path) {
  const File file(path, O_RDONLY);
  struct stat status {};
  if (!file.is_open() || ::fstat(file.fd(), &status) != 0) return os_error(errno, "open " + path);
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = ::read(file.fd(), bytes.data() + filled, bytes.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error(errno, "read " + path);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  bytes.resize(filled);
  return bytes;
}

Result<void> truncate_file(const std::string& path, std::uint64_t bytes) {
  const File file(path, O_WRONLY);
  if (!file.is_open() || ::ftruncate(file.fd(), static_cast<off_t>(bytes)) != 0 || ::fsync(file.fd()) != 0) {
    return os_error(errno, "cut " + path);
  }
  return ok();
}

}  // namespace skep::store
