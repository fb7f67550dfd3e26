import { RegcreddError } from '../../src/errors.ts'
import { versionOf } from '../../src/keychain/credential.ts'
import type { Keychain } from '../../src/keychain/keychain.ts'
import { commit, replace, stage } from '../../src/rotation/plan.ts'
import { Secret } from '../../src/secret.ts'

/** A login and the steps of a rotation, as one node of a fleet does them by its `update`. */
export function actsBy(update: Keychain['update'], registry: string) {
  return {
    login: (password: string, key = registry) =>
      update(key, (stored) => replace(stored, key, loginOf(password), new Date())),
    stage: (password: string, rotationId: string, key = registry) =>
      update(key, (stored) =>
        stage(stored, {
          rotationId,
          login: loginOf(password),
          deadline: new Date(Date.now() + 60_000),
          idempotencyKey: undefined,
          bodyHash: undefined,
          now: new Date(),
        }),
      ),
    commit: (rotationId: string, key = registry) => update(key, (stored) => commit(stored, rotationId, new Date())),
  }
}

export function loginOf(password: string) {
  return { username: 'ci', secret: new Secret(password), email: undefined }
}

/** The password that a node holds under a label. */
export function passwordsIn(keychain: Pick<Keychain, 'get'>, registry: string) {
  return async (label: 'current' | 'pending' | 'previous' = 'current', key = registry): Promise<string | undefined> => {
    const stored = await keychain.get(key)
    return stored && versionOf(stored, label)?.secret.reveal()
  }
}

export const refusedWith = (code: string) => (thrown: unknown) =>
  thrown instanceof RegcreddError && thrown.code === code
