import type { Credential } from '../../src/keychain/credential.ts'
import type { Keychain } from '../../src/keychain/keychain.ts'
import { keepKnown } from '../../src/keychain/known.ts'
import type { KeychainState } from '../../src/keychain/seen.ts'
import { Secret } from '../../src/secret.ts'

/** A credential with one version, which is CURRENT. */
export function sample(key: string, password = 'pass', username = 'ci'): Credential {
  return {
    schema: 1,
    key,
    seq: 1,
    current: 'v1',
    pending: undefined,
    previous: undefined,
    versions: [
      { id: 'v1', username, secret: new Secret(password), email: undefined, createdAt: '2026-01-02T03:04:05.000Z' },
    ],
    rotations: [],
  }
}

export function countUp(key: string): (stored: Credential | undefined) => Credential {
  return (stored) => (stored === undefined ? sample(key) : { ...stored, seq: stored.seq + 1 })
}

export function passwordOf(credential: Credential | undefined): string | undefined {
  return credential?.versions[0]?.secret.reveal()
}

/** How a store is, as the daemon finds it by reading. */
export async function stateOf(keychain: Keychain): Promise<KeychainState> {
  return (await keepKnown(keychain, { clock: Date.now }).refresh()).state
}
