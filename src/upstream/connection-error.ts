import { RegcreddError } from '../errors.ts'

const REFUSED_CERTIFICATE = 'it refuses our client certificate'

/** What to do about it, by node's or OpenSSL's code. */
const HINTS = new Map([
  ['ENOTFOUND', 'its name is not known to the DNS'],
  ['EAI_AGAIN', 'the DNS does not answer'],
  ['ECONNREFUSED', 'nothing listens there'],
  ['ECONNRESET', 'it closed the connection'],
  ['EHOSTUNREACH', 'there is no way to its address'],
  ['ENETUNREACH', 'there is no way to its address'],
  ['ETIMEDOUT', 'it does not answer'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'its certificate is signed by an authority that is not trusted here: set caFile'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'its certificate is signed by itself: set caFile'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'its certificate is signed by an unknown authority: set caFile'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'its certificate is signed by an unknown authority: set caFile'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'its certificate is signed by an unknown authority: set caFile'],
  ['CERT_HAS_EXPIRED', 'its certificate has expired'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet; is the clock right?'],
  [
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'its certificate is for another name; which name the registry itself has, serverName says',
  ],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'it wants a client certificate: set clientCertFile and clientKeyFile'],
  ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'it refuses TLS with us; does it want a client certificate?'],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', REFUSED_CERTIFICATE],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', REFUSED_CERTIFICATE],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'it says that our client certificate has expired'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED', 'it says that our client certificate is revoked'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', REFUSED_CERTIFICATE],
  ['ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR', REFUSED_CERTIFICATE],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'it does not speak TLS at this port'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'it does not speak TLS at this port'],
  ['EPROTO', 'TLS failed'],
])

/**
 * What a connection or request ended with, as one of ours: UPSTREAM_MALFORMED for what is not HTTP, UPSTREAM_TIMEOUT,
 * UPSTREAM_UNREACHABLE for the rest; an error that has a code already stays. The detail holds no address and nothing of the request.
 */
export function toConnectionError(thrown: unknown): RegcreddError {
  if (thrown instanceof RegcreddError) return thrown
  const code = codeOf(thrown)
  const options = { cause: thrown }
  if (code?.startsWith('HPE_')) return new RegcreddError('UPSTREAM_MALFORMED', code, options)
  if (code === 'ETIMEDOUT') return new RegcreddError('UPSTREAM_TIMEOUT', undefined, options)
  return new RegcreddError('UPSTREAM_UNREACHABLE', code && (HINTS.get(code) ?? code), options)
}

/** What went wrong with a connection, in words that hold no address. */
export function reasonOf(thrown: unknown): string {
  const code = codeOf(thrown)
  return (code && (HINTS.get(code) ?? code)) ?? 'the connection failed'
}

/** Only what looks like a code is passed on; all of node's and OpenSSL's do. */
function codeOf(thrown: unknown): string | undefined {
  const code: unknown = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : undefined
}
