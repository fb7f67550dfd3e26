import type { Credential } from '../../src/keychain/credential.ts'
import { Secret } from '../../src/secret.ts'

/** A credential as the keychain gives it, with nothing but a CURRENT version. */
export function credentialOf(
  key: string,
  parts: { password: string; username?: string; email?: string; seq?: number; version?: number },
): Credential {
  const { password, username = 'ci', email, seq = 1, version = seq } = parts
  const current = {
    id: `v${version}`,
    username,
    secret: new Secret(password),
    email,
    createdAt: new Date(Date.UTC(2026, 0, version)).toISOString(),
  }
  return {
    schema: 1,
    key,
    seq,
    current: current.id,
    pending: undefined,
    previous: undefined,
    versions: [current],
    rotations: [],
  }
}

/** The forms in which a leaked password may stand in a text. */
export function formsOf(password: string, username = 'ci'): string[] {
  const bytes = Buffer.from(password)
  const shifted = [0, 1, 2].map((offset) => {
    const base64 = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    // The first characters hang on what stands before the password, the last on what follows.
    return base64.slice(Math.ceil((offset * 4) / 3), -1)
  })
  return [
    password,
    ...shifted,
    bytes.toString('hex'),
    encodeURIComponent(password),
    Buffer.from(`${username}:${password}`).toString('base64'),
  ]
}
