import { unwatchFile, watchFile } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { errnoOf, RegcreddError } from '../errors.ts'

const CHECK_INTERVAL_MS = 5_000

export type TlsFiles = { certFile: string; keyFile: string }
export type KeyPair = { cert: string; key: string }

/** Reads a certificate and its key, and sees that they belong together. Throws LISTEN_FAILED, with the file and what to do. */
export async function readKeyPair({ certFile, keyFile }: TlsFiles): Promise<KeyPair> {
  const cert = await read(certFile, 'certFile')
  const key = await read(keyFile, 'keyFile')
  if (((await stat(keyFile)).mode & 0o007) !== 0) throw bad(`keyFile ${keyFile}: others may use it; chmod 0640`)
  try {
    createSecureContext({ cert, key, minVersion: 'TLSv1.2' })
  } catch (cause) {
    throw bad(`certFile ${certFile} and keyFile ${keyFile} are no pair (${errnoOf(cause) ?? 'not PEM'})`, cause)
  }
  return { cert, key }
}

export type KeyPairWatch = { onChange: (pair: KeyPair) => void; onFault: (fault: unknown) => void; intervalMs?: number }

/**
 * Tells of every change of the two files that leaves a pair. Between the replacing of one and of the other there is none: that is told as a
 * fault, and the next change puts it right. Links are followed, as those of cert-manager and certbot move.
 */
export function watchKeyPair(files: TlsFiles, { onChange, onFault, intervalMs }: KeyPairWatch): () => void {
  const changed = () => void readKeyPair(files).then(onChange).catch(onFault)
  const options = { persistent: false, interval: intervalMs ?? CHECK_INTERVAL_MS }
  const paths = [files.certFile, files.keyFile]
  for (const path of paths) watchFile(path, options, changed)
  return () => {
    for (const path of paths) unwatchFile(path, changed)
  }
}

async function read(path: string, key: keyof TlsFiles): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw bad(`${key} ${path} cannot be read (${errnoOf(cause)})`, cause)
  }
}

function bad(problem: string, cause?: unknown): RegcreddError {
  return new RegcreddError('LISTEN_FAILED', `admin.tls.${problem}`, { cause })
}
