// SPDX-License-Identifier: Apache-2.0
// Where certificates come from, and how a change of their files is noticed.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>

#include "base/check.h"
#include "http/internal_tls.h"

namespace skep::http {
namespace {

constexpr int kRenewalDays = 30;

Error bad_file(const std::string& path, std::string_view what) {
  const unsigned long error = ERR_peek_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  const int number = errno;
  std::string text = "'" + path + "' " + std::string(what);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    text += ": there is no such file";
  } else if (ERR_GET_LIB(error) == ERR_LIB_SYS) {
    text += ": " + std::string(number == EACCES ? "it is not yours to read" : "it can not be read");
  } else if (reason != nullptr) {
    text += std::string(": ") + reason;
  }
  ERR_clear_error();
  return fail(Code::kInvalid, std::move(text));
}

// A bio that reads and writes by its session: OpenSSL's own would get SIGPIPE.
TlsSession& session_of(BIO* bio) {
  return *static_cast<TlsSession*>(BIO_get_data(bio));
}
bool must_wait(int count) {
  return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}
int bio_read(BIO* bio, char* space, int size) {
  BIO_clear_retry_flags(bio);
  const int count = session_of(bio).receive(space, size);
  if (must_wait(count)) BIO_set_retry_read(bio);
  if (count == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return count;
}
int bio_write(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const int count = session_of(bio).transmit(bytes, size);
  if (must_wait(count)) BIO_set_retry_write(bio);
  return count;
}
long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

}  // namespace

TlsContext::TlsContext(Side side)
    : context_(SSL_CTX_new(side == Side::kServer ? TLS_server_method() : TLS_client_method())),
      socket_method_(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket")) {
  SKEP_CHECK(context_ != nullptr && socket_method_ != nullptr, "no memory for TLS");
  SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_options(context_,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
  BIO_meth_set_read(socket_method_, bio_read);
  BIO_meth_set_write(socket_method_, bio_write);
  BIO_meth_set_ctrl(socket_method_, bio_control);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
  BIO_meth_free(socket_method_);
}

Result<void> TlsContext::use(const TlsServerOptions& options) {
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context_, options.certificate_file.c_str()) != 1) {
    return bad_file(options.certificate_file, "has no certificate that can be used");
  }
  // A key with a password would ask the terminal for it.
  SSL_CTX_set_default_passwd_cb(context_, [](char*, int, int, void*) { return 0; });
  if (SSL_CTX_use_PrivateKey_file(context_, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context_) != 1) {
    return bad_file(options.key_file, "has no key, without a password, of the certificate in '" +
                                          options.certificate_file + "'");
  }
  return ok();
}

Result<void> TlsContext::use(const TlsClientOptions& options) {
  ERR_clear_error();
  if (options.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context_);
    return ok();
  }
  if (SSL_CTX_load_verify_locations(context_, options.ca_file.c_str(), nullptr) != 1) {
    return bad_file(options.ca_file, "has no certificates of authorities");
  }
  X509_STORE_set_flags(SSL_CTX_get_cert_store(context_), X509_V_FLAG_PARTIAL_CHAIN);
  return ok();
}

int TlsContext::days_left() const {
  int days = 0, seconds = 0;
  const X509* certificate = SSL_CTX_get0_certificate(context_);
  if (ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate)) != 1) return 0;
  return seconds < 0 ? days - 1 : days;
}

Result<void> check(const TlsServerOptions& options) {
  return TlsContext(TlsContext::Side::kServer).use(options);
}

Result<void> check(const TlsClientOptions& options) {
  return TlsContext(TlsContext::Side::kClient).use(options);
}

FileStamp FileStamp::of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

Result<std::unique_ptr<ServerTls>> ServerTls::make(TlsServerOptions options, Logger log) {
  auto tls = std::unique_ptr<ServerTls>(new ServerTls(std::move(options), std::move(log)));
  const MutexLock lock(tls->mutex_);
  tls->seen_ = tls->look();
  auto context = std::make_shared<TlsContext>(TlsContext::Side::kServer);
  SKEP_TRY(context->use(tls->options_));
  tls->context_ = std::move(context);
  return tls;
}

void ServerTls::renew_if_due() {
  const int days = context_->days_left();
  if (!options_.renew || days >= kRenewalDays || days == renewal_tried_at_) return;
  renewal_tried_at_ = days;
  if (auto renewed = options_.renew(); !renewed) {
    log_.error("the certificate can not be renewed",
               {{"days_left", days}, {"problem", renewed.error().message}});
  }
}

std::shared_ptr<const TlsContext> ServerTls::current() {
  const MutexLock lock(mutex_);
  renew_if_due();
  const Stamps now = look();
  if (now == seen_) return context_;
  seen_ = now;
  auto fresh = std::make_shared<TlsContext>(TlsContext::Side::kServer);
  if (auto used = fresh->use(options_); !used) {
    // Also between the writing of one file and of the other.
    log_.warn("the new certificate is not used: the one before is", {{"problem", used.error().message}});
    return context_;
  }
  log_.info("a new certificate is used", {{"days_left", fresh->days_left()}});
  context_ = std::move(fresh);
  return context_;
}

std::shared_ptr<TlsSession> ServerTls::accept(int descriptor) {
  return std::make_shared<TlsSession>(current(), TlsContext::Side::kServer, descriptor, "");
}

Result<std::shared_ptr<TlsSession>> ClientTls::connect(int descriptor, const std::string& host) {
  const FileStamp now = options_.ca_file.empty() ? FileStamp{} : FileStamp::of(options_.ca_file);
  if (context_ == nullptr || now != seen_) {
    auto fresh = std::make_shared<TlsContext>(TlsContext::Side::kClient);
    const auto used = fresh->use(options_);
    if (!used && context_ == nullptr) return used.error();
    seen_ = now;
    if (used) context_ = std::move(fresh);
  }
  return std::make_shared<TlsSession>(context_, TlsContext::Side::kClient, descriptor, host);
}

}  // namespace skep::http
