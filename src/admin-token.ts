import { createHash, randomBytes } from 'node:crypto'
import { Secret } from './secret.ts'

const SECRET_BYTES = 32
const ID_BYTES = 8
/** Scanners for secrets find a token by its prefix; the id is no secret. */
const TOKEN = /^rcd_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/

export type NewAdminToken = {
  /** 16 hexadecimal digits. */
  id: string
  /** `rcd_ID_SECRET`. */
  token: Secret
  /** Of the whole token, hexadecimal: all that the daemon learns of it. */
  sha256: string
}

/** A token for callers of the admin API from elsewhere. */
export function makeAdminToken(): NewAdminToken {
  const id = randomBytes(ID_BYTES).toString('hex')
  const text = `rcd_${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`
  return { id, token: new Secret(text), sha256: hashAdminToken(text).toString('hex') }
}

/** The id that a token names, `undefined` for what is no token. */
export function adminTokenId(text: string): string | undefined {
  return TOKEN.exec(text)?.[1]
}

/** Whether somebody meant such a token, well-formed or not. */
export function isAdminTokenLike(text: string): boolean {
  return text.startsWith('rcd_')
}

/** Unsalted and quick on purpose: nobody guesses 256 random bits. */
export function hashAdminToken(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
