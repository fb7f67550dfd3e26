import { RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { readPassword } from './password.ts'

export type PassphraseOptions = { passphraseStdin?: true; passphraseFile?: string }

export const PASSPHRASE_OPTIONS = {
  stdin: ['--passphrase-stdin', 'read the passphrase from stdin (a terminal is asked for it anyway)'],
  file: ['--passphrase-file <file>', 'read the passphrase, or a key, from a file of mode 0600'],
} as const

/** The passphrase of a backup. Throws USAGE where none is given, KEYCHAIN_UNAVAILABLE for a file that others may read. */
export async function readPassphrase(options: PassphraseOptions): Promise<Secret> {
  if (options.passphraseFile !== undefined) {
    const { findKey } = await import('../keychain/key-file.ts')
    return withoutLineBreak(await findKey(options.passphraseFile, {}))
  }
  if (options.passphraseStdin !== true && !process.stdin.isTTY)
    throw new RegcreddError(
      'USAGE',
      'give the passphrase on stdin with --passphrase-stdin, or in a file with --passphrase-file',
    )
  return readPassword({ passwordStdin: true }, 'Passphrase of the backup: ')
}

/** The passphrase of a new backup; at a terminal it is asked for twice. Throws USAGE for one that is soon guessed, too. */
export async function readNewPassphrase(options: PassphraseOptions): Promise<Secret> {
  const passphrase = await readPassphrase(options)
  if (passphrase.reveal().length < MIN_CHARACTERS)
    throw new RegcreddError(
      'USAGE',
      `the passphrase is shorter than ${MIN_CHARACTERS} characters; whoever has the file can try as many as he likes (head -c 32 /dev/urandom | base64 makes a good one)`,
    )
  if (options.passphraseFile === undefined && process.stdin.isTTY) {
    // Nobody sees what he types here, and a backup with a slip in its passphrase opens never again.
    const again = await readPassword({ passwordStdin: true }, 'The same passphrase again: ')
    if (!again.equals(passphrase)) throw new RegcreddError('USAGE', 'the two passphrases differ; nothing was written')
  }
  return passphrase
}

const MIN_CHARACTERS = 16

function withoutLineBreak(text: Secret): Secret {
  return new Secret(text.reveal().replace(/\r?\n$/, ''))
}
