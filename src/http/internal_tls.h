// SPDX-License-Identifier: Apache-2.0
// internal_tls.h - TLS over a socket that does not block, and where its certificates come from. For the files
// of http alone.
//
// A session reads and writes the socket itself; who waits for the socket is the caller (internal_stream.h).
//
// Threads:   TlsSession: one executor at a time. ServerTls: any thread. ClientTls: one executor at a time.
// Ownership: a session borrows the descriptor, and shares what it was made from.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/mutex.h"
#include "http/tls.h"

struct ssl_st;
struct ssl_ctx_st;
struct bio_method_st;

namespace skep::http {

// Certificates as they were read, for the connections that are made with them.
class TlsContext {
 public:
  enum class Side : std::uint8_t { kServer, kClient };
  explicit TlsContext(Side side);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  Result<void> use(const TlsServerOptions& options);
  Result<void> use(const TlsClientOptions& options);
  // Of the server's certificate; negative if it is over.
  int days_left() const;

  ssl_ctx_st* get() const { return context_; }
  bio_method_st* socket_method() const { return socket_method_; }

 private:
  ssl_ctx_st* context_ = nullptr;
  bio_method_st* socket_method_ = nullptr;
};

enum class TlsStatus : std::uint8_t {
  kDone,
  kWantsRead,   // wait until the socket can be read, and try again
  kWantsWrite,  // the same for writing
  kEnd,         // the peer has closed, as it should
  kFailed,      // the connection is of no use any more; problem() says why, or errno is in os_error()
};

class TlsSession {
 public:
  // `host`: whose certificate it must be, on the client's side.
  TlsSession(std::shared_ptr<const TlsContext> context, TlsContext::Side side, int descriptor,
             const std::string& host);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // The handshake comes with the first of either. A write that has to wait is repeated with the same bytes,
  // and may have more of them.
  TlsStatus read(char* space, std::size_t size, std::size_t& filled);
  TlsStatus write(const char* bytes, std::size_t size, std::size_t& written);
  // Bytes that were read from the socket and that no wait would tell of.
  bool has_input() const;
  // Says goodbye, if there is anybody to say it to.
  void close();

  // Why it failed, in words; "" if the socket did.
  const std::string& problem() const { return problem_; }
  // The peer's certificate was the reason.
  bool is_untrusted() const { return is_untrusted_; }
  int os_error() const { return os_error_; }

  // For TlsContext: the socket, as recv(2) and send(2) have it.
  int receive(char* space, int size);
  int transmit(const char* bytes, int size);

 private:
  TlsStatus status_of(int result);
  void note_failure();

  std::shared_ptr<const TlsContext> context_;
  ssl_st* session_ = nullptr;
  const TlsContext::Side side_;
  const int descriptor_;
  std::string problem_;
  bool is_untrusted_ = false;
  bool is_over_ = false;
  bool has_said_goodbye_ = false;
  int os_error_ = 0;
};

// How a file was when it was read.
struct FileStamp {
  static FileStamp of(const std::string& path);
  bool operator==(const FileStamp&) const = default;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
};

// A server's certificates, which may change.
class ServerTls {
 public:
  static Result<std::unique_ptr<ServerTls>> make(TlsServerOptions options, Logger log);
  std::shared_ptr<TlsSession> accept(int descriptor);

 private:
  struct Stamps {
    FileStamp certificate;
    FileStamp key;
    bool operator==(const Stamps&) const = default;
  };
  ServerTls(TlsServerOptions options, Logger log) : options_(std::move(options)), log_(std::move(log)) {}
  Stamps look() const { return {FileStamp::of(options_.certificate_file), FileStamp::of(options_.key_file)}; }
  std::shared_ptr<const TlsContext> current();
  void renew_if_due() SKEP_REQUIRES(mutex_);

  const TlsServerOptions options_;
  const Logger log_;
  Mutex mutex_;
  Stamps seen_ SKEP_GUARDED_BY(mutex_);
  int renewal_tried_at_ SKEP_GUARDED_BY(mutex_) = 1 << 30;  // days that were left then
  std::shared_ptr<const TlsContext> context_ SKEP_GUARDED_BY(mutex_);
};

// Whom a client trusts, which may change.
class ClientTls {
 public:
  explicit ClientTls(TlsClientOptions options) : options_(std::move(options)) {}
  // kInvalid: the authorities can not be read, and never could.
  Result<std::shared_ptr<TlsSession>> connect(int descriptor, const std::string& host);

 private:
  const TlsClientOptions options_;
  FileStamp seen_;
  std::shared_ptr<const TlsContext> context_;
};

}  // namespace skep::http
