import { type Credential, versionOf } from '../keychain/credential.ts'
import type { Wanted } from './plan.ts'

/**
 * What the keychain says about the registries of one Secret. Throws what `readCredential` throws: an unreadable keychain must
 * never look like one without credentials.
 */
export async function readWanted(
  keys: string[],
  readCredential: (key: string) => Promise<Credential | undefined>,
): Promise<Wanted> {
  const wanted: Wanted = { logins: [], missing: [] }
  for (const key of keys) {
    const credential = await readCredential(key)
    const current = credential === undefined ? undefined : versionOf(credential, 'current')
    if (credential === undefined || current === undefined) {
      wanted.missing.push(key)
      continue
    }
    const { id, createdAt, username, secret, email } = current
    wanted.logins.push({ key, username, secret, email, mark: { seq: credential.seq, version: id, createdAt } })
  }
  return wanted
}
