import { randomBytes, type ScryptOptions, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { type Header, headerOf, type Kdf, parseBackupFile } from './backup-form.ts'
import { decrypt, encrypt } from './sealed-file.ts'

const ENCRYPTION_KEY_SIZE_BYTES = 32
const CHECK_SIZE_BYTES = 8
/** 128 MiB and a third of a second for each guess: OWASP's first choice for scrypt. */
const KDF = { name: 'scrypt', n: 2 ** 17, r: 8, p: 1 } as const

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt)

/** When and where a backup was made; `undefined` for the first format, which did not say. */
export type BackupOrigin = { createdAt: string | undefined; host: string | undefined }

/** Encrypts items under a passphrase; gives the text of the file. The header is authenticated with them. */
export async function sealBackup(
  items: Map<string, Secret>,
  passphrase: Secret,
  { createdAt, host }: { createdAt: string; host: string },
): Promise<string> {
  const kdf: Kdf = { ...KDF, salt: randomBytes(16).toString('base64') }
  const { encryption, check } = await keysOf(passphrase, kdf)
  const header: Header = { version: 2, createdAt, host, kdf, check }
  const plain = JSON.stringify([...items].map(([key, text]) => [key, text.reveal()]))
  const { nonce, sealed } = encrypt(plain, encryption, headerOf(header))
  const file = {
    format: 'regcredd-backup',
    ...header,
    nonce: nonce.toString('base64'),
    sealed: sealed.toString('base64'),
  }
  return `${JSON.stringify(file)}\n`
}

/** Decrypts a backup of any format. Throws BACKUP_UNREADABLE, which says whether the passphrase, the file or the version is wrong. */
export async function openBackup(
  text: string,
  passphrase: Secret,
): Promise<{ items: Map<string, Secret>; origin: BackupOrigin }> {
  const { header, ...sealed } = parseBackupFile(text)
  const { encryption, check } = await keysOf(passphrase, header.kdf)
  if (check !== header.check) throw unreadable('it was made with another passphrase')
  let plain: string
  try {
    plain = decrypt(sealed, encryption, headerOf(header))
  } catch (cause) {
    throw unreadable('it was damaged or changed by another hand', cause)
  }
  const entries: [string, string][] = JSON.parse(plain)
  const { createdAt, host } = header
  return { items: new Map(entries.map(([key, item]) => [key, new Secret(item)])), origin: { createdAt, host } }
}

/** The check tells a wrong passphrase from a damaged file; it takes the same work to guess by as the file itself. */
async function keysOf(passphrase: Secret, { n, r, p, salt }: Kdf): Promise<{ encryption: Buffer; check: string }> {
  const sizeBytes = ENCRYPTION_KEY_SIZE_BYTES + CHECK_SIZE_BYTES
  const options = { N: n, r, p, maxmem: 2 * 128 * n * r }
  const key = await derive(passphrase.reveal(), Buffer.from(salt, 'base64'), sizeBytes, options)
  return {
    encryption: key.subarray(0, ENCRYPTION_KEY_SIZE_BYTES),
    check: key.subarray(ENCRYPTION_KEY_SIZE_BYTES).toString('hex'),
  }
}

function unreadable(detail: string, cause?: unknown): RegcreddError {
  return new RegcreddError('BACKUP_UNREADABLE', detail, { cause })
}
