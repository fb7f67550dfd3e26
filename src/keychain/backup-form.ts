import { RegcreddError } from '../errors.ts'
import { NONCE_SIZE_BYTES, type Sealed, TAG_SIZE_BYTES } from './sealed-file.ts'

/** How the key of a backup comes from its passphrase (RFC 7914). `salt` is base64. */
export type Kdf = { name: 'scrypt'; n: number; r: number; p: number; salt: string }

/** What stands before the encrypted items. Format 1 said nothing of when and where it was made. */
export type Header = {
  version: 1 | 2
  createdAt: string | undefined
  host: string | undefined
  kdf: Kdf
  check: string
}

/** 256 MiB: a foreign file must not make us spend more on it. */
const MAX_KDF = { n: 2 ** 18, r: 8, p: 4 }

/** The bytes that are authenticated beside the items. */
export function headerOf({ version, createdAt, host, kdf, check }: Header): Buffer {
  const { name, n, r, p, salt } = kdf
  const common = ['regcredd-backup', version, name, n, r, p, salt, check]
  return Buffer.from(JSON.stringify(version === 1 ? common : [...common, createdAt, host]))
}

/** Takes a backup apart; decrypts nothing. Throws BACKUP_UNREADABLE. */
export function parseBackupFile(text: string): Sealed & { header: Header } {
  const raw = parseObject(text)
  const { version, createdAt, host, check } = raw
  if (raw['format'] !== 'regcredd-backup' || typeof version !== 'number') throw refuse('it is no backup of regcredd')
  if (version !== 1 && version !== 2)
    throw refuse(`it is of format ${version}, which another version of regcredd wrote`)
  const [nonce, sealed] = [bytes(raw['nonce']), bytes(raw['sealed'])]
  const kdf = parseKdf(raw['kdf'])
  if (typeof check !== 'string') throw damaged()
  if (nonce?.length !== NONCE_SIZE_BYTES || sealed === undefined || sealed.length < TAG_SIZE_BYTES) throw damaged()
  if (version === 1) return { header: { version, createdAt: undefined, host: undefined, kdf, check }, nonce, sealed }
  if (typeof createdAt !== 'string' || typeof host !== 'string') throw damaged()
  return { header: { version, createdAt, host, kdf, check }, nonce, sealed }
}

function parseKdf(raw: unknown): Kdf {
  if (typeof raw !== 'object' || raw === null) throw damaged()
  const { name, n, r, p, salt } = raw as Record<string, unknown>
  if (name !== 'scrypt' || !isUpTo(n, MAX_KDF.n) || !isUpTo(r, MAX_KDF.r) || !isUpTo(p, MAX_KDF.p)) throw damaged()
  if (n < 2 || (n & (n - 1)) !== 0 || typeof salt !== 'string') throw damaged()
  return { name, n, r, p, salt }
}

function parseObject(text: string): Record<string, unknown> {
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch {
    throw refuse('it is no backup of regcredd, or was cut off')
  }
  if (typeof raw !== 'object' || raw === null) throw refuse('it is no backup of regcredd')
  return raw as Record<string, unknown>
}

function bytes(value: unknown): Buffer | undefined {
  return typeof value === 'string' ? Buffer.from(value, 'base64') : undefined
}

function isUpTo(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= max
}

function damaged(): RegcreddError {
  return refuse('it was damaged or changed by another hand')
}

function refuse(detail: string): RegcreddError {
  return new RegcreddError('BACKUP_UNREADABLE', detail)
}
