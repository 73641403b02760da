// SPDX-License-Identifier: Apache-2.0
// One TLS connection, over a socket that does not block.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "http/internal_tls.h"

namespace skep::http {
namespace {

// What a client gets that speaks to this port without TLS.
constexpr std::string_view kPlainAnswer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 46\r\nConnection: close\r\n\r\n"
    "this port speaks TLS: its URL begins https://\n";

// Whether the certificate that is looked at stands among the trusted ones itself.
bool is_pinned(X509_STORE_CTX* check) {
  X509* leaf = X509_STORE_CTX_get_current_cert(check);
  const auto* trusted = X509_STORE_get0_objects(X509_STORE_CTX_get0_store(check));
  for (int i = 0; leaf != nullptr && i < sk_X509_OBJECT_num(trusted); ++i) {
    X509* other = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
    if (other != nullptr && X509_cmp(leaf, other) == 0) return true;
  }
  return false;
}

int accept_pinned_name(int is_fine, X509_STORE_CTX* check) {
  const int error = X509_STORE_CTX_get_error(check);
  const bool is_name = error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH;
  if (is_fine == 1 || !is_name || !is_pinned(check)) return is_fine;
  X509_STORE_CTX_set_error(check, X509_V_OK);
  return 1;
}

void expect_peer(SSL* session, const std::string& host) {
  X509_VERIFY_PARAM* wanted = SSL_get0_param(session);
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // An address is no name: it has a kind of its own in certificates, and none in the hello.
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) != 1) {
    SKEP_CHECK(X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size()) == 1, "no memory for TLS");
    SSL_set_tlsext_host_name(session, host.c_str());
  }
  SSL_set_verify(session, SSL_VERIFY_PEER, accept_pinned_name);
}

std::string reason_text(unsigned long error) {
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? "the handshake failed" : reason;
}

}  // namespace

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, TlsContext::Side side, int descriptor,
                       const std::string& host)
    : context_(std::move(context)), session_(SSL_new(context_->get())), side_(side), descriptor_(descriptor) {
  BIO* socket = BIO_new(context_->socket_method());
  SKEP_CHECK(session_ != nullptr && socket != nullptr, "no memory for TLS");
  BIO_set_data(socket, this);
  BIO_set_init(socket, 1);
  SSL_set_bio(session_, socket, socket);
  ERR_clear_error();
  if (side_ == TlsContext::Side::kServer) {
    SSL_set_accept_state(session_);
  } else {
    expect_peer(session_, host);
    SSL_set_connect_state(session_);
  }
}

TlsSession::~TlsSession() {
  SSL_free(session_);
}

int TlsSession::receive(char* space, int size) {
  const ssize_t count = ::recv(descriptor_, space, static_cast<std::size_t>(size), 0);
  if (count < 0) os_error_ = errno;
  return static_cast<int>(count);
}

int TlsSession::transmit(const char* bytes, int size) {
  const ssize_t count = ::send(descriptor_, bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (count < 0) os_error_ = errno;
  return static_cast<int>(count);
}

TlsStatus TlsSession::read(char* space, std::size_t size, std::size_t& filled) {
  if (is_over_) return TlsStatus::kFailed;
  ERR_clear_error();
  return status_of(SSL_read_ex(session_, space, size, &filled));
}

TlsStatus TlsSession::write(const char* bytes, std::size_t size, std::size_t& written) {
  if (is_over_) return TlsStatus::kFailed;
  ERR_clear_error();
  return status_of(SSL_write_ex(session_, bytes, size, &written));
}

bool TlsSession::has_input() const {
  return SSL_has_pending(session_) == 1;
}

TlsStatus TlsSession::status_of(int result) {
  if (result == 1) return TlsStatus::kDone;
  switch (SSL_get_error(session_, result)) {
    case SSL_ERROR_WANT_READ:
      return TlsStatus::kWantsRead;
    case SSL_ERROR_WANT_WRITE:
      return TlsStatus::kWantsWrite;
    case SSL_ERROR_ZERO_RETURN:
      return TlsStatus::kEnd;
    default:
      is_over_ = true;
      note_failure();
      return TlsStatus::kFailed;
  }
}

void TlsSession::note_failure() {
  const unsigned long error = ERR_peek_error();
  const int reason = ERR_GET_REASON(error);
  const long verified = SSL_get_verify_result(session_);
  if (side_ == TlsContext::Side::kServer) {
    if (reason == SSL_R_HTTP_REQUEST) {
      char rest[4096];  // what is left unread would reset the connection before the answer is read
      while (::recv(descriptor_, rest, sizeof rest, MSG_DONTWAIT) == static_cast<ssize_t>(sizeof rest)) {
      }
      (void)transmit(kPlainAnswer.data(), static_cast<int>(kPlainAnswer.size()));
    }
    problem_ = reason_text(error);
  } else if (verified != X509_V_OK) {
    is_untrusted_ = true;
    problem_ = std::string("its certificate is not trusted here: ") +
               X509_verify_cert_error_string(verified) + " (--ca names the file of an authority)";
  } else if (reason == SSL_R_WRONG_VERSION_NUMBER) {
    problem_ = "it does not speak TLS: is its URL http:// instead of https://?";
  } else if (error != 0 && reason != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    problem_ = "TLS failed: " + reason_text(error);
  }
  ERR_clear_error();
}

void TlsSession::close() {
  if (is_over_ || has_said_goodbye_ || SSL_is_init_finished(session_) != 1) return;
  has_said_goodbye_ = true;  // what the peer still sends can be read
  ERR_clear_error();
  (void)SSL_shutdown(session_);
}

}  // namespace skep::http
