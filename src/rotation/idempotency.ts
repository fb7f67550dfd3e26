import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../secret.ts'

/** What a client asked for, as it asked: a default that was filled in later is no part of it. */
export type RotationBody = {
  username: string | undefined
  secret: Secret | undefined
  generate?: object | undefined
  email: string | undefined
  deadlineSeconds: number
  expiresAt?: string | undefined
}

const KEY_BYTES = 32

/**
 * A keyed hash of the body, `<key>.<mac>`: HMAC-SHA256 under 32 random bytes of its own, so that equal passwords do not look
 * equal. It is kept in the keychain's item beside the password itself and nowhere else: who can test guesses against it could read the password.
 */
export function hashBody(body: RotationBody): string {
  const key = randomBytes(KEY_BYTES)
  return `${key.toString('base64url')}.${mac(key, body).toString('base64url')}`
}

/** Whether `hash` was made of this very body. */
export function isSameBody(hash: string, body: RotationBody): boolean {
  const [key = '', stored = ''] = hash.split('.')
  const expected = Buffer.from(stored, 'base64url')
  const found = mac(Buffer.from(key, 'base64url'), body)
  return expected.length === found.length && timingSafeEqual(expected, found)
}

function mac(key: Buffer, body: RotationBody): Buffer {
  const { username, secret, generate, email, deadlineSeconds, expiresAt } = body
  const fields = [username, secret?.reveal(), sorted(generate), email, deadlineSeconds, expiresAt]
  const text = JSON.stringify(fields.map((field) => field ?? null))
  return createHmac('sha256', key).update(text).digest()
}

/** The order of keys in a JSON object says nothing. */
function sorted(object: object | undefined): [string, unknown][] | undefined {
  return object && Object.entries(object).sort(([a], [b]) => a.localeCompare(b))
}
