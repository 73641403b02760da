// SPDX-License-Identifier: Apache-2.0
// tls.h - certificates: where a server's are, whom a client trusts, and an authority of one's own.
//
// TLS 1.2 and 1.3. Files are looked at with every new connection and read again when they have changed; what
// can not be used then leaves what was there before in use, and is logged once.
//
// Threads:   values; the functions from any thread.
// Errors:    kInvalid with a sentence that names the file.
// Ownership: nothing is kept open.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace skep::http {

struct TlsServerOptions {
  std::string certificate_file;  // PEM: the certificate, then its chain; "": no TLS
  std::string key_file;          // PEM without a password; may be the same file
  // Called on an I/O thread when the certificate ends in less than 30 days, at most once a day. May be empty.
  std::function<Result<void>()> renew;
};

struct TlsClientOptions {
  // PEM: authorities that are trusted instead of the system's. A server whose own certificate stands in it is
  // trusted by whatever name it is reached. "": the system's.
  std::string ca_file;
};

// Whether a server could start with it: both files are there and belong together.
Result<void> check(const TlsServerOptions& options);
Result<void> check(const TlsClientOptions& options);

// An authority of one's own, for those who have none, in files of one directory:
//   ca.pem      its certificate: what clients are given to trust. Valid for 10 years.
//   ca.key      its key, for its owner alone
//   server.pem  key and certificate of the server, for its owner alone. Valid for a year.
struct OwnAuthority {
  std::string ca_file;
  std::string server_file;
};
// Makes what is missing, and server.pem anew if it is not of this authority, lacks one of the names (host
// names and IP addresses) or ends in less than 30 days. The directory is made if its parent exists.
Result<OwnAuthority> keep_own_authority(const std::string& directory, const std::vector<std::string>& names);

}  // namespace skep::http
