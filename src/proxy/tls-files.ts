import { constants, X509Certificate } from 'node:crypto'
import { unwatchFile, watchFile } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { ListenAddress, ProxyTls } from '../config/config.ts'
import { errnoOf, RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { readCrlTimes } from './crl-times.ts'

const CHECK_INTERVAL_MS = 2_000
const MAX_FILE_BYTES = 4 * 1024 * 1024
/** Read by its group, as distributions keep keys for daemons that are not root; nothing else. */
const FORBIDDEN_KEY_MODE = 0o037
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g
const CRLS = /-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----/g

/** Something that stops to be good at a time: what it is, as its key in the configuration, and since when it is good. */
export type Ending = { key: keyof ProxyTls; from: Date; to: Date }

/** The files as they are now, checked. */
export type TlsMaterial = { cert: string; key: Secret; ca: string; crls: string[]; endings: Ending[] }

export type TlsFiles = {
  /** Those that serve now. */
  now(): TlsMaterial
  /** What is wrong with the files that lie there now, while those from before serve. */
  fault(): string | undefined
  /** `take` is called with every later state of the files. */
  onChange(take: (material: TlsMaterial) => void): void
  close(): void
}

type FollowLog = Record<'info' | 'error', (fields: Record<string, unknown>, message: string) => void>

/**
 * Reads the files of `proxy.tls` and makes sure that a listener at `listen` can serve with them.
 * @throws CONFIG_INVALID with the key, the file and what to do
 */
export async function readTlsFiles(paths: ProxyTls, listen: ListenAddress): Promise<TlsMaterial> {
  const cert = await readFile('certFile', paths.certFile)
  const key = new Secret(await readFile('keyFile', paths.keyFile))
  const ca = await readFile('clientCaFile', paths.clientCaFile)
  const crl = paths.crlFile === undefined ? undefined : await readFile('crlFile', paths.crlFile)
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
 * Reads the files, and again whenever one of them has changed. What cannot be served with changes nothing and is told in `fault`.
 * @throws CONFIG_INVALID at first
 */
export async function followTlsFiles(paths: ProxyTls, listen: ListenAddress, log: FollowLog): Promise<TlsFiles> {
  let material = await readTlsFiles(paths, listen)
  let fault: string | undefined
  const takers: ((material: TlsMaterial) => void)[] = []
  let reading = Promise.resolve()
  const follow = async () => {
    try {
      material = await readTlsFiles(paths, listen)
      fault = undefined
      for (const take of takers) take(material)
      log.info({ ends: material.endings.map(({ key, to }) => `${key} ${to.toISOString()}`) }, 'new files of proxy.tls')
    } catch (thrown) {
      fault = thrown instanceof RegcreddError ? (thrown.detail ?? thrown.message) : 'they cannot be read'
      log.error({ err: thrown }, 'the files of proxy.tls could not be read again; those from before serve on')
    }
  }
  // One after another: a slow disk must not let an earlier state win.
  const changed = () => {
    reading = reading.then(follow)
  }
  const all = Object.values(paths).filter((path) => path !== undefined)
  for (const path of all) watchFile(path, { persistent: false, interval: CHECK_INTERVAL_MS }, changed)
  return {
    now: () => material,
    fault: () => fault,
    onChange: (take) => void takers.push(take),
    close: () => {
      for (const path of all) unwatchFile(path, changed)
    },
  }
}

/**
 * What OpenSSL is told. Without session resumption, so that each connection is judged by the lists of its own time, and without
 * renegotiation, so that a connection's certificate stays the one that was judged.
 */
export function contextOptions({ cert, key, ca, crls }: TlsMaterial): SecureContextOptions {
  return {
    cert,
    key: key.reveal(),
    ca,
    ...(crls.length > 0 && { crl: crls }),
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
}

function certificatesIn(key: keyof ProxyTls, path: string, text: string): X509Certificate[] {
  try {
    const found = (text.match(CERTIFICATES) ?? []).map((pem) => new X509Certificate(pem))
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

async function readFile(key: keyof ProxyTls, path: string): Promise<string> {
  try {
    await using file = await open(path)
    if (key === 'keyFile') await checkMode(file, path)
    const { size } = await file.stat()
    if (size > MAX_FILE_BYTES) throw bad(key, path, 'is larger than 4 MiB')
    return await file.readFile('utf8')
  } catch (thrown) {
    if (thrown instanceof RegcreddError) throw thrown
    throw bad(key, path, `cannot be read (${errnoOf(thrown)})`, thrown)
  }
}

async function checkMode(file: FileHandle, path: string): Promise<void> {
  const { mode } = await file.stat()
  if ((mode & FORBIDDEN_KEY_MODE) === 0) return
  throw bad(
    'keyFile',
    path,
    'is open to others, or its group may write it; chmod 0600, or 0640 with a group of the daemon’s own',
  )
}

function bad(key: keyof ProxyTls, path: string, problem: string, cause?: unknown): RegcreddError {
  return new RegcreddError('CONFIG_INVALID', `proxy.tls.${key} ${path}: ${problem}`, { cause })
}
