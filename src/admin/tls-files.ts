import { X509Certificate } from 'node:crypto'
import { unwatchFile, watchFile } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { errnoOf, RegcreddError, toRegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'

const CHECK_INTERVAL_MS = 5_000
const MAX_FILE_BYTES = 1024 * 1024
const MAX_NOTICE_MS = 14 * 86_400_000
/** What lives for days is renewed within days: only the last fifth of a life is worth a word. */
const NOTICE_SHARE = 0.2

export type KeyPairPaths = { certFile: string; keyFile: string }
export type KeyPair = { cert: string; key: Secret; from: Date; to: Date }

export type KeyPairs = {
  /** The pair that serves. */
  now(): KeyPair
  /** Why callers are not served as they should be, or soon will not be; a line each. */
  warnings(wallNowMs: number): string[]
  /** `take` is called with every later pair. */
  onChange(take: (pair: KeyPair) => void): void
  close(): void
}

type FollowOptions = {
  /** Told when a new pair serves, and why one does not: the one before it goes on then. */
  onNews: (fault: RegcreddError | undefined) => void
  intervalMs?: number
}

/**
 * The certificate of `admin.tls` with its key, read anew whenever one of the files has changed. Between the replacing of one and of the other
 * they are no pair: that is a fault, and the next change puts it right. Links are followed, as those of cert-manager and certbot move.
 * Throws LISTEN_FAILED at first, with the file and what to do.
 */
export async function followKeyPair(
  paths: KeyPairPaths,
  { onNews, intervalMs = CHECK_INTERVAL_MS }: FollowOptions,
): Promise<KeyPairs> {
  let pair = await readKeyPair(paths)
  let fault: RegcreddError | undefined
  let reading = Promise.resolve()
  const takers: ((pair: KeyPair) => void)[] = []
  const follow = async () => {
    try {
      pair = await readKeyPair(paths)
      fault = undefined
      for (const take of takers) take(pair)
    } catch (thrown) {
      fault = toRegcreddError(thrown)
    }
    onNews(fault)
  }
  // One after another: a slow disk must not let an earlier state win.
  const changed = () => {
    reading = reading.then(follow)
  }
  const all = [paths.certFile, paths.keyFile]
  for (const path of all) watchFile(path, { persistent: false, interval: intervalMs }, changed)
  return {
    now: () => pair,
    warnings: (wallNowMs) => [
      ...endWarnings(pair, wallNowMs),
      ...(fault === undefined ? [] : [`warning: the certificate from before serves on; ${fault.detail}`]),
    ],
    onChange: (take) => void takers.push(take),
    close() {
      for (const path of all) unwatchFile(path, changed)
    },
  }
}

/** What OpenSSL is told. */
export function contextOptions({ cert, key }: KeyPair): SecureContextOptions {
  return { cert, key: key.reveal(), minVersion: 'TLSv1.2' }
}

async function readKeyPair({ certFile, keyFile }: KeyPairPaths): Promise<KeyPair> {
  const cert = await readWhole('certFile', certFile, 0)
  // Its group may read it, as distributions keep keys for daemons that are not root.
  const key = new Secret(await readWhole('keyFile', keyFile, 0o037))
  try {
    const { validFromDate: from, validToDate: to } = new X509Certificate(cert)
    const pair = { cert, key, from, to }
    createSecureContext(contextOptions(pair))
    return pair
  } catch (cause) {
    throw bad(`certFile ${certFile} and keyFile ${keyFile} are no pair (${errnoOf(cause) ?? 'not PEM'})`, cause)
  }
}

async function readWhole(key: keyof KeyPairPaths, path: string, forbiddenMode: number): Promise<string> {
  try {
    await using file: FileHandle = await open(path)
    const { mode, size } = await file.stat()
    if ((mode & forbiddenMode) !== 0) throw bad(`${key} ${path} is open to others; chmod 0600, or 0640`)
    if (size > MAX_FILE_BYTES) throw bad(`${key} ${path} is larger than 1 MiB`)
    return await file.readFile('utf8')
  } catch (thrown) {
    if (thrown instanceof RegcreddError) throw thrown
    throw bad(`${key} ${path} cannot be read (${errnoOf(thrown)})`, thrown)
  }
}

function endWarnings({ from, to }: KeyPair, wallNowMs: number): string[] {
  const leftMs = to.getTime() - wallNowMs
  if (leftMs > Math.min(MAX_NOTICE_MS, (to.getTime() - from.getTime()) * NOTICE_SHARE)) return []
  const at = to.toISOString().replace(/\.\d+/, '')
  return [`warning: the certificate of admin.tls.certFile ${leftMs > 0 ? 'ends' : 'ended'} at ${at}`]
}

function bad(problem: string, cause?: unknown): RegcreddError {
  return new RegcreddError('LISTEN_FAILED', `admin.tls.${problem}`, { cause })
}
