import {
  type CipherKey,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { fault } from './faults.ts'

const FORMAT = 'regcredd-keychain'
/** 2 says which host wrote it; 1 is still read. */
const VERSION = 2
/** Goes into the derivation of keys, which outlives formats. */
const KEY_LABEL_VERSION = 1
const CIPHER = 'aes-256-gcm'
/** NIST SP 800-38D § 8.2.2: random nonces of 96 bits are safe for 2³² writes under one key. */
export const NONCE_SIZE_BYTES = 12
export const TAG_SIZE_BYTES = 16
const KEY_ID_SIZE_BYTES = 8

/** The key of a sealed file. `id` tells keys apart and gives nothing away. */
export type SealKey = { id: string; encryption: KeyObject }

/** Derives the two from the bytes of the key file under labels of their own, so that neither tells of the other. */
export function deriveSealKey(master: Uint8Array): SealKey {
  const derive = (label: string, sizeBytes: number) =>
    Buffer.from(hkdfSync('sha256', master, '', `${FORMAT} ${KEY_LABEL_VERSION} ${label}`, sizeBytes))
  return {
    id: derive('key id', KEY_ID_SIZE_BYTES).toString('hex'),
    encryption: createSecretKey(derive('encryption', 32)),
  }
}

/** Encrypts `plain` under a fresh nonce; gives the text of the file. The header, with the name of this host, is authenticated with it. */
export function seal(plain: string, key: SealKey, host: string): string {
  const { nonce, sealed } = encrypt(plain, key.encryption, header({ version: VERSION, keyId: key.id, host }))
  const file = {
    format: FORMAT,
    version: VERSION,
    keyId: key.id,
    host,
    nonce: nonce.toString('base64'),
    sealed: sealed.toString('base64'),
  }
  return `${JSON.stringify(file)}\n`
}

/**
 * Decrypts what `seal` wrote, with the one of `keys` that it names; gives the id of that key, too. `path` is for the messages only.
 * Throws KEYCHAIN_UNAVAILABLE for a file that was sealed with another key, KEYCHAIN_CORRUPT for one that was changed, cut, or
 * written by a newer version.
 */
export function unseal(text: string, keys: readonly SealKey[], path: string): { plain: string; keyId: string } {
  const file = parseFile(text)
  if (file === undefined) throw fault('damaged', { path })
  if (file.version > VERSION) throw fault('otherFormat', { path, format: file.version })
  const key = keys.find(({ id }) => id === file.keyId)
  if (key === undefined) {
    const where = file.host === undefined ? '' : `of the host ${file.host}`
    throw fault('otherKey', { path, sealedWith: file.keyId, where, configured: keys.map(({ id }) => id).join(', ') })
  }
  try {
    return { plain: decrypt(file, key.encryption, header(file)), keyId: file.keyId }
  } catch (cause) {
    throw fault('damaged', { path }, cause)
  }
}

/** What a fresh nonce and a key have made of a text; `sealed` ends with the tag. */
export type Sealed = { nonce: Buffer; sealed: Buffer }

/** Encrypts `plain` under a fresh nonce, and authenticates `aad` with it. */
export function encrypt(plain: string, key: CipherKey, aad: Buffer): Sealed {
  const nonce = randomBytes(NONCE_SIZE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_SIZE_BYTES })
  cipher.setAAD(aad)
  return { nonce, sealed: Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]) }
}

/** What `encrypt` was given. Throws what Node throws where the key is another, or anything was changed. */
export function decrypt({ nonce, sealed }: Sealed, key: CipherKey, aad: Buffer): string {
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_SIZE_BYTES })
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(-TAG_SIZE_BYTES))
  const opened = [decipher.update(sealed.subarray(0, -TAG_SIZE_BYTES)), decipher.final()]
  return Buffer.concat(opened).toString('utf8')
}

type Header = { version: number; keyId: string; host: string | undefined }
type SealedFile = Header & Sealed

function parseFile(text: string): SealedFile | undefined {
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof raw !== 'object' || raw === null) return undefined
  const { format, version, keyId, host, nonce, sealed } = raw as Record<string, unknown>
  if (format !== FORMAT || typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1)
    return undefined
  if (typeof keyId !== 'string' || !/^[0-9a-f]{16}$/.test(keyId)) return undefined
  if (typeof nonce !== 'string' || typeof sealed !== 'string') return undefined
  if (version === 1 ? host !== undefined : typeof host !== 'string') return undefined
  const file = {
    version,
    keyId,
    host: typeof host === 'string' ? host : undefined,
    nonce: Buffer.from(nonce, 'base64'),
    sealed: Buffer.from(sealed, 'base64'),
  }
  return file.nonce.length === NONCE_SIZE_BYTES && file.sealed.length >= TAG_SIZE_BYTES ? file : undefined
}

function header({ version, keyId, host }: Header): Buffer {
  return Buffer.from(JSON.stringify(version === 1 ? [FORMAT, version, keyId] : [FORMAT, version, keyId, host]))
}
