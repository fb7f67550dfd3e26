import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'
import { errnoOf, RegcreddError } from '../errors.ts'

/** A look at two files costs microseconds, a burst of new connections asks many times. */
const LOOK_EVERY_MS = 5_000

/** Gives what TLS is to be done with now. `version` changes with the files. */
export type FollowedContext = () => { secureContext: SecureContext; version: string }

/**
 * A TLS context with a client certificate that follows its files. While the renewed ones cannot be read, or do not belong together yet, it
 * stays with what it had.
 * @throws CONFIG_INVALID where there is nothing to begin with, or others may read the key
 */
export function followClientCertificate(
  { certFile, keyFile }: { certFile: string; keyFile: string },
  ca: string[] | undefined,
  nowMs: () => number,
): FollowedContext {
  const files = { certFile, keyFile }
  let version = versionOf(files)
  let secureContext = contextOf(files, ca)
  let lookedAtMs = nowMs()
  return () => {
    if (nowMs() - lookedAtMs >= LOOK_EVERY_MS) {
      lookedAtMs = nowMs()
      try {
        const found = versionOf(files)
        if (found !== version) {
          secureContext = contextOf(files, ca)
          version = found
        }
      } catch (thrown) {
        // Renewed by halves: the next look finds the rest, and until then the old one may still be good.
        if (!(thrown instanceof RegcreddError)) throw thrown
      }
    }
    return { secureContext, version }
  }
}

function versionOf({ certFile, keyFile }: { certFile: string; keyFile: string }): string {
  return [certFile, keyFile].map((path) => seen(path).version).join(' ')
}

function seen(path: string): { version: string; isOpenToOthers: boolean } {
  try {
    const { ino, size, mtimeMs, mode } = statSync(path)
    return { version: `${ino}-${size}-${mtimeMs}`, isOpenToOthers: (mode & 0o007) !== 0 }
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

function contextOf({ certFile, keyFile }: { certFile: string; keyFile: string }, ca: string[] | undefined) {
  // Its group may read it: keys of a machine often belong to one.
  if (seen(keyFile).isOpenToOthers)
    throw new RegcreddError('CONFIG_INVALID', `${keyFile} (clientKeyFile) may be read by others: chmod 0600 it`)
  const [cert, key] = [read(certFile), read(keyFile)]
  try {
    return createSecureContext({ cert, key, ...(ca && { ca }) })
  } catch (cause) {
    const detail = `${certFile} and ${keyFile} are no client certificate with its unencrypted key`
    throw new RegcreddError('CONFIG_INVALID', detail, { cause })
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

function unreadable(path: string, cause: unknown): RegcreddError {
  return new RegcreddError('CONFIG_INVALID', `${path} cannot be read: ${errnoOf(cause) ?? 'unknown reason'}`, { cause })
}
