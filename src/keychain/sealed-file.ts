import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { RegcreddError } from '../errors.ts'

const FORMAT = 'regcredd-keychain'
const VERSION = 1
const CIPHER = 'aes-256-gcm'
/** NIST SP 800-38D § 8.2.2: random nonces of 96 bits are safe for 2³² writes under one key. */
const NONCE_SIZE_BYTES = 12
const TAG_SIZE_BYTES = 16
const KEY_ID_SIZE_BYTES = 8

/** The key of a sealed file. `id` tells keys apart and gives nothing away. */
export type SealKey = { id: string; encryption: KeyObject }

/** Derives the two from the bytes of the key file under labels of their own, so that neither tells of the other. */
export function deriveSealKey(master: Uint8Array): SealKey {
  const derive = (label: string, sizeBytes: number) =>
    Buffer.from(hkdfSync('sha256', master, '', `${FORMAT} ${VERSION} ${label}`, sizeBytes))
  return {
    id: derive('key id', KEY_ID_SIZE_BYTES).toString('hex'),
    encryption: createSecretKey(derive('encryption', 32)),
  }
}

/** Encrypts `plain` under a fresh nonce; gives the text of the file. The header is authenticated with it. */
export function seal(plain: string, key: SealKey): string {
  const nonce = randomBytes(NONCE_SIZE_BYTES)
  const cipher = createCipheriv(CIPHER, key.encryption, nonce, { authTagLength: TAG_SIZE_BYTES })
  cipher.setAAD(header(key.id))
  const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
  const file = {
    format: FORMAT,
    version: VERSION,
    keyId: key.id,
    nonce: nonce.toString('base64'),
    sealed: sealed.toString('base64'),
  }
  return `${JSON.stringify(file)}\n`
}

/**
 * Decrypts what `seal` wrote. `path` is for the messages only. Throws KEYCHAIN_UNAVAILABLE for a file that was sealed with another key,
 * KEYCHAIN_CORRUPT for one that was changed, cut, or written by a newer version.
 */
export function unseal(text: string, key: SealKey, path: string): string {
  const file = parseFile(text)
  if (file === undefined) throw damaged(path)
  if (file.version !== VERSION) {
    throw new RegcreddError(
      'KEYCHAIN_CORRUPT',
      `${path} was written by another version of regcredd (format ${file.version}); start that version`,
    )
  }
  if (file.keyId !== key.id) {
    throw new RegcreddError(
      'KEYCHAIN_UNAVAILABLE',
      `${path} was encrypted with the key ${file.keyId}, and the configured key is ${key.id}; configure the right key, or move the file away to begin with an empty keychain`,
    )
  }
  const decipher = createDecipheriv(CIPHER, key.encryption, file.nonce, { authTagLength: TAG_SIZE_BYTES })
  decipher.setAAD(header(file.keyId))
  decipher.setAuthTag(file.sealed.subarray(-TAG_SIZE_BYTES))
  try {
    const opened = [decipher.update(file.sealed.subarray(0, -TAG_SIZE_BYTES)), decipher.final()]
    return Buffer.concat(opened).toString('utf8')
  } catch (cause) {
    throw damaged(path, cause)
  }
}

type SealedFile = { version: number; keyId: string; nonce: Buffer; sealed: Buffer }

function parseFile(text: string): SealedFile | undefined {
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof raw !== 'object' || raw === null) return undefined
  const { format, version, keyId, nonce, sealed } = raw as Record<string, unknown>
  if (format !== FORMAT || typeof version !== 'number' || !Number.isSafeInteger(version)) return undefined
  if (typeof keyId !== 'string' || !/^[0-9a-f]{16}$/.test(keyId)) return undefined
  if (typeof nonce !== 'string' || typeof sealed !== 'string') return undefined
  const file = { version, keyId, nonce: Buffer.from(nonce, 'base64'), sealed: Buffer.from(sealed, 'base64') }
  return file.nonce.length === NONCE_SIZE_BYTES && file.sealed.length >= TAG_SIZE_BYTES ? file : undefined
}

function header(keyId: string): Buffer {
  return Buffer.from(JSON.stringify([FORMAT, VERSION, keyId]))
}

function damaged(path: string, cause?: unknown): RegcreddError {
  return new RegcreddError(
    'KEYCHAIN_CORRUPT',
    `${path} was damaged or changed by another hand; restore it from a backup, or move it away to begin with an empty keychain`,
    { cause },
  )
}
