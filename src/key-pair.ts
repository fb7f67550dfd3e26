import { X509Certificate } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { type ErrorCode, errnoOf, RegcreddError } from './errors.ts'
import type { Followed } from './followed-files.ts'
import { Secret } from './secret.ts'

const MAX_FILE_BYTES = 4 * 1024 * 1024
/** Its group may read it, as distributions keep keys for daemons that are not root. */
const FORBIDDEN_KEY_MODE = 0o037
const MAX_NOTICE_MS = 14 * 86_400_000
/** What lives for days is renewed within days: only the last fifth of a life is worth a word. */
const NOTICE_SHARE = 0.2

export type KeyPairPaths = { certFile: string; keyFile: string }
/** A certificate with its chain, and its key. */
export type KeyPair = { cert: string; key: Secret } & Validity
export type Validity = { from: Date; to: Date }

/** How a file is spoken of: its key in the configuration, and what an error of it is called. */
export type FileTold = { what: string; code: ErrorCode }

/**
 * Reads a certificate and its key, and makes sure that they belong together.
 * @throws the code of `told`, with the file and what to do
 */
export async function readKeyPair(
  { certFile, keyFile }: KeyPairPaths,
  told: { code: ErrorCode; cert: string; key: string },
): Promise<KeyPair> {
  const { code } = told
  const cert = await readPem(certFile, { code, what: told.cert })
  const key = await readKey(keyFile, { code, what: told.key })
  try {
    const { validFromDate: from, validToDate: to } = new X509Certificate(cert)
    const pair = { cert, key, from, to }
    createSecureContext(contextOptions(pair))
    return pair
  } catch (cause) {
    const reason = errnoOf(cause) ?? 'not PEM'
    const detail = `${told.cert} ${certFile} and ${told.key} ${keyFile} are no pair of a certificate and its unencrypted key (${reason})`
    throw new RegcreddError(code, detail, { cause })
  }
}

/** What OpenSSL is told. */
export function contextOptions({ cert, key }: Pick<KeyPair, 'cert' | 'key'>): SecureContextOptions {
  return { cert, key: key.reveal(), minVersion: 'TLSv1.2' }
}

/** @throws the code of `told` for a file that cannot be read, is larger than 4 MiB, or may be read by others or written by its group */
export async function readKey(path: string, told: FileTold): Promise<Secret> {
  return new Secret(await readWhole(path, FORBIDDEN_KEY_MODE, told))
}

/** @throws the code of `told` for a file that cannot be read or is larger than 4 MiB */
export function readPem(path: string, told: FileTold): Promise<string> {
  return readWhole(path, 0, told)
}

async function readWhole(path: string, forbiddenMode: number, { what, code }: FileTold): Promise<string> {
  const bad = (problem: string, cause?: unknown) => new RegcreddError(code, `${what} ${path} ${problem}`, { cause })
  try {
    await using file: FileHandle = await open(path)
    const { mode, size } = await file.stat()
    if ((mode & forbiddenMode) !== 0)
      throw bad('is open to others, or its group may write it; chmod 0600, or 0640 with a group of the daemon’s own')
    if (size > MAX_FILE_BYTES) throw bad('is larger than 4 MiB')
    return await file.readFile('utf8')
  } catch (thrown) {
    if (thrown instanceof RegcreddError) throw thrown
    throw bad(`cannot be read (${errnoOf(thrown)})`, thrown)
  }
}

/** What ends soon or has ended, and what follows from that, in one line; `undefined` where nothing is to be said yet. */
export function endingLine(
  { what, after }: { what: string; after: string },
  { from, to }: Validity,
  wallNowMs: number,
): string | undefined {
  const leftMs = to.getTime() - wallNowMs
  const noticeMs = Math.min(MAX_NOTICE_MS, (to.getTime() - from.getTime()) * NOTICE_SHARE)
  if (leftMs >= noticeMs) return undefined
  const at = to.toISOString().replace(/\.\d+/, '')
  return leftMs > 0 ? `${what} ends at ${at}; from then on ${after}` : `${what} ended at ${at}; ${after}`
}

/** Of a followed pair: that it ends, and why the renewed one is not in force; a line each. */
export function pairWarnings(
  pair: Followed<KeyPair>,
  { what, after, stays }: { what: string; after: string; stays: string },
  wallNowMs: number,
): string[] {
  const end = endingLine({ what: `the certificate of ${what}`, after }, pair.now(), wallNowMs)
  const fault = pair.fault()
  return [
    ...(end === undefined ? [] : [`warning: ${end}`]),
    ...(fault === undefined ? [] : [`warning: ${stays}; ${fault.detail}`]),
  ]
}
