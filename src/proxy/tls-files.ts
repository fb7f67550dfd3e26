import { constants, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { ListenAddress, ProxyTls } from '../config/config.ts'
import { pemCertificates } from '../config/files.ts'
import { errnoOf, RegcreddError } from '../errors.ts'
import { type Followed, followFiles } from '../followed-files.ts'
import { contextOptions as contextOfPair, readKey, readPem, type Validity } from '../key-pair.ts'
import type { Secret } from '../secret.ts'
import { readCrlTimes } from './crl-times.ts'

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CRLS = /-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----/g

/** Something that stops to be good at a time: what it is, as its key in the configuration, and since when it is good. */
export type Ending = { key: keyof ProxyTls } & Validity

/** The files as they are now, checked. */
export type TlsMaterial = { cert: string; key: Secret; ca: string; crls: string[]; endings: Ending[] }

export type TlsFiles = Followed<TlsMaterial>

type FollowLog = Record<'info' | 'error', (fields: Record<string, unknown>, message: string) => void>

/**
 * Reads the files of `proxy.tls` and makes sure that a listener at `listen` can serve with them.
 * @throws CONFIG_INVALID with the key, the file and what to do
 */
export async function readTlsFiles(paths: ProxyTls, listen: ListenAddress): Promise<TlsMaterial> {
  const cert = await readPem(paths.certFile, told('certFile'))
  const key = await readKey(paths.keyFile, told('keyFile'))
  const ca = await readPem(paths.clientCaFile, told('clientCaFile'))
  const crl = paths.crlFile === undefined ? undefined : await readPem(paths.crlFile, told('crlFile'))
  const own = certificatesIn('certFile', paths.certFile, cert)[0] as X509Certificate
  if (own.checkIP(listen.host) === undefined)
    throw bad('certFile', paths.certFile, `is not for ${listen.host}; make one with subjectAltName IP:${listen.host}`)
  if (own.keyUsage !== undefined && !own.keyUsage.includes(SERVER_AUTH))
    throw bad('certFile', paths.certFile, 'is not for servers; make one with extendedKeyUsage serverAuth')
  const authorities = certificatesIn('clientCaFile', paths.clientCaFile, ca)
  const stray = authorities.find((one) => !one.ca)
  if (stray !== undefined)
    throw bad('clientCaFile', paths.clientCaFile, 'holds a certificate that is not an authority’s')
  const crls = crl?.match(CRLS) ?? []
  const material: TlsMaterial = {
    cert,
    key,
    ca,
    crls,
    endings: [
      ending('certFile', own),
      ...authorities.map((one) => ending('clientCaFile', one)),
      ...(paths.crlFile === undefined ? [] : crlEndings(paths.crlFile, crls)),
    ],
  }
  try {
    createSecureContext(contextOptions(material))
  } catch (cause) {
    const isMismatch = errnoOf(cause) === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
    throw bad(
      'keyFile',
      paths.keyFile,
      isMismatch ? 'is not the key of certFile' : 'holds no key that can be used',
      cause,
    )
  }
  return material
}

/**
 * The files, and again whenever one of them has changed. What cannot be served with changes nothing.
 * @throws CONFIG_INVALID at first
 */
export async function followTlsFiles(paths: ProxyTls, listen: ListenAddress, log: FollowLog): Promise<TlsFiles> {
  const all = Object.values(paths).filter((path) => path !== undefined)
  const files: TlsFiles = await followFiles(all, () => readTlsFiles(paths, listen), {
    onNews(fault) {
      const ends = files.now().endings.map(({ key, to }) => `${key} ${to.toISOString()}`)
      if (fault === undefined) log.info({ ends }, 'new files of proxy.tls')
      else log.error({ err: fault }, 'the files of proxy.tls could not be read again; those from before serve on')
    },
  })
  return files
}

/**
 * What OpenSSL is told. Without session resumption, so that each connection is judged by the lists of its own time, and without
 * renegotiation, so that a connection's certificate stays the one that was judged.
 */
export function contextOptions({ ca, crls, ...pair }: TlsMaterial): SecureContextOptions {
  return {
    ...contextOfPair(pair),
    ca,
    ...(crls.length > 0 && { crl: crls }),
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
}

function certificatesIn(key: keyof ProxyTls, path: string, text: string): X509Certificate[] {
  try {
    const found = pemCertificates(text).map((pem) => new X509Certificate(pem))
    if (found.length > 0) return found
  } catch (cause) {
    throw bad(key, path, 'holds a certificate that cannot be read', cause)
  }
  throw bad(key, path, 'holds no certificate in PEM')
}

function ending(key: keyof ProxyTls, { validFromDate, validToDate }: X509Certificate): Ending {
  return { key, from: validFromDate, to: validToDate }
}

function crlEndings(path: string, crls: readonly string[]): Ending[] {
  if (crls.length === 0) throw bad('crlFile', path, 'holds no list of revoked certificates in PEM')
  return crls.flatMap((pem) => {
    const times = readCrlTimes(pem)
    if (times === undefined) throw bad('crlFile', path, 'holds a list that cannot be read')
    return times.nextUpdate === undefined
      ? []
      : [{ key: 'crlFile' as const, from: times.thisUpdate, to: times.nextUpdate }]
  })
}

function told(key: keyof ProxyTls): { what: string; code: 'CONFIG_INVALID' } {
  return { what: `proxy.tls.${key}`, code: 'CONFIG_INVALID' }
}

function bad(key: keyof ProxyTls, path: string, problem: string, cause?: unknown): RegcreddError {
  return new RegcreddError('CONFIG_INVALID', `proxy.tls.${key} ${path} ${problem}`, { cause })
}
