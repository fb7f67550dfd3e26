import type { TLSSocket } from 'node:tls'

/** What a connection's client certificate comes to: a name for the audit, good between two times, or why it opens nothing. */
export type ShownCertificate = { name: string; fromMs: number; toMs: number } | { fault: string }

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const MAX_NAME_LENGTH = 128
const NOT_SIGNED = 'no authority of proxy.tls.clientCaFile has signed it'
/** OpenSSL's verdicts that an operator can do something about. */
const FAULTS = new Map([
  ['CERT_HAS_EXPIRED', 'it has expired'],
  ['CERT_NOT_YET_VALID', 'it is not good yet'],
  ['CERT_REVOKED', 'it is revoked'],
  ['INVALID_PURPOSE', 'it is not for clients (extendedKeyUsage clientAuth)'],
  ['UNABLE_TO_GET_CRL', 'proxy.tls.crlFile has no list of its authority'],
  ['CRL_HAS_EXPIRED', 'the list of revoked certificates has ended; a new one must be made'],
  ['CRL_NOT_YET_VALID', 'the list of revoked certificates is not good yet'],
  ['UNABLE_TO_GET_ISSUER_CERT', NOT_SIGNED],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', NOT_SIGNED],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', NOT_SIGNED],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', NOT_SIGNED],
  ['SELF_SIGNED_CERT_IN_CHAIN', NOT_SIGNED],
  ['CERT_SIGNATURE_FAILURE', NOT_SIGNED],
])

/** Judges the certificate of a connection whose handshake has ended. OpenSSL has checked signatures, times and revocation. */
export function judgeCertificate(socket: TLSSocket): ShownCertificate {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return { fault: 'none was shown' }
  if (!socket.authorized) {
    const code = String(socket.authorizationError)
    return { fault: FAULTS.get(code) ?? `it cannot be verified (${code})` }
  }
  // Without the extension OpenSSL takes a certificate for any use; here a server's must not do by omission.
  if (!certificate.keyUsage?.includes(CLIENT_AUTH)) return { fault: FAULTS.get('INVALID_PURPOSE') ?? '' }
  const name = callerName(commonNameOf(socket), certificate.subjectAltName)
  if (name === undefined) return { fault: 'it names nobody: neither a common name nor a subjectAltName is in it' }
  return { name, fromMs: certificate.validFromDate.getTime(), toMs: certificate.validToDate.getTime() }
}

function commonNameOf(socket: TLSSocket): string | undefined {
  const name: unknown = socket.getPeerCertificate().subject?.CN
  return Array.isArray(name) ? String(name[0]) : (name as string | undefined)
}

/**
 * The common name, else the first alternative name without its kind (`DNS:`, `URI:`), fit for a line of the audit: at most 128
 * characters, each of them visible or a space.
 */
export function callerName(commonName: string | undefined, alternativeNames: string | undefined): string | undefined {
  const alternative = /^(?:DNS|URI|IP Address|email):("(?:[^"\\]|\\.)*"|[^,]*)/.exec(alternativeNames ?? '')?.[1]
  const name = commonName?.trim() || alternative?.trim()
  if (name === undefined || name === '') return undefined
  const visible = name.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?')
  return [...visible].slice(0, MAX_NAME_LENGTH).join('')
}
