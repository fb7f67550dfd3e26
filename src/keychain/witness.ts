import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { replaceFile } from '../replace-file.ts'

/**
 * Remembers over restarts that a keyring has held our list of items: gnome-keyring puts an empty keyring in the place of a file that
 * it cannot read, and only who has seen the old one can tell.
 */
export type Witness = {
  hasSeen: boolean
  /** Does nothing when it is known already. Does not throw: reading must not fail because this cannot be written. */
  saw(): Promise<void>
}

/** Where the daemon keeps its witness, beside the caller token. */
export function witnessPath(callerTokenFile: string): string {
  return join(dirname(callerTokenFile), 'keychain.seen')
}

/** A witness in a file, which holds no secret; `onFault` hears why it cannot be written, once. A file that cannot be read has seen nothing. */
export async function openWitness(path: string, service: string, onFault: (thrown: unknown) => void): Promise<Witness> {
  const testimony = `${JSON.stringify({ schema: 1, service })}\n`
  let isTold = false
  const witness: Witness = {
    hasSeen: (await readFile(path, 'utf8').catch(() => '')) === testimony,
    async saw() {
      if (witness.hasSeen) return
      try {
        await replaceFile(path, testimony)
        witness.hasSeen = true
      } catch (thrown) {
        if (!isTold) onFault(thrown)
        isTold = true
      }
    },
  }
  return witness
}
