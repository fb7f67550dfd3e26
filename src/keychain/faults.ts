import { errnoOf, RegcreddError } from '../errors.ts'

const MAKE_KEY = 'make one with: head -c 32 /dev/urandom | base64'

type Fault = { code: 'KEYCHAIN_LOCKED' | 'KEYCHAIN_UNAVAILABLE' | 'KEYCHAIN_CORRUPT'; says: string; remedy: string }

/**
 * Every way in which a store can fail: what is said of it, and what is to be done. Words in braces are filled in.
 * docs/keychain.md has a row for each; a test compares the two.
 */
export const faults = {
  // The keyring of the operating system
  locked: {
    code: 'KEYCHAIN_LOCKED',
    says: 'the keyring has not been given its password, or a wrong one',
    remedy:
      'log in to the desktop, or restart gnome-keyring-daemon with --unlock and the password of the keyring on its standard input',
  },
  noBus: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'there is no session bus',
    remedy: 'set DBUS_SESSION_BUS_ADDRESS to one with a keyring, or use the store "file"',
  },
  busGone: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the session bus cannot be reached, or does not speak as it must',
    remedy: 'see that it runs, for this user',
  },
  noKeyring: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'no keyring is on the session bus',
    remedy: 'start gnome-keyring-daemon, or another Secret Service; is gnome-keyring-daemon running?',
  },
  noCollection: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the keyring has no default collection',
    remedy: 'unlock gnome-keyring-daemon once, which makes one',
  },
  silent: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the keyring did not answer in time',
    remedy: 'see whether its daemon is stopped, overloaded, or waits for somebody at a prompt',
  },
  silentHelper: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the keyring did not answer within {timeoutMs} ms',
    remedy: 'see whether its daemon is stopped, or waits for somebody at a prompt; keychain.timeoutMs gives it longer',
  },
  odd: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the keyring answered {answer}',
    remedy: 'look at the journal of its daemon, and restart that',
  },
  refused: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the keyring refused',
    remedy: 'the log of regcredd has its words; restart the daemon of the keyring',
  },
  notKept: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the keyring did not keep what was written for {key}',
    remedy: 'see that the disk of its files has room',
  },
  noKeytar: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'keytar is not installed',
    remedy: 'install libsecret-1-dev and run npm install again, or use the store "file"',
  },
  brokenKeytar: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'keytar cannot be loaded',
    remedy: 'install libsecret-1-0',
  },
  noHelper: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the helper process cannot be started or ended at its start ({reason})',
    remedy: 'see that the node has memory and processes left (TasksMax=)',
  },
  otherDaemon: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'another regcredd on this session bus uses the service name "{service}" already',
    remedy: 'stop that one, or give this one a name of its own in keychain.service',
  },
  // The encrypted file
  otherDaemonFile: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'another daemon uses {path} already',
    remedy: 'stop the daemon (systemctl stop regcredd), or see who it is: fuser -v {path}.lock',
  },
  disk: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: '{path} cannot be {done} ({errno})',
    remedy: 'see that its folder and its disk are there, with room, and owned by the user of the daemon',
  },
  noKey: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'there is no key',
    remedy:
      'name its file to a command by --key-file; for the daemon set keychain.keyFile, or give the service the systemd credential "keychain-key" (LoadCredentialEncrypted=)',
  },
  keyUnreadable: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the file {path}, of a key or passphrase, cannot be opened ({errno})',
    remedy: `let the user of the daemon read it, or ${MAKE_KEY}`,
  },
  keyOpen: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the file {path}, of a key or passphrase, has mode {mode}',
    remedy: 'chmod 0600 it, and think of who may have read it',
  },
  keyMalformed: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: 'the key of the keychain is not 32 bytes in base64, one key a line',
    remedy: MAKE_KEY,
  },
  otherKey: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: '{path} was encrypted with the key {sealedWith} {where}, and the configured key is {configured}',
    remedy: 'configure the right key; or move the file away and restore a backup, or log in again',
  },
  damaged: {
    code: 'KEYCHAIN_CORRUPT',
    says: '{path} was damaged or changed by another hand',
    remedy: 'move it away and restore a backup, or begin with an empty keychain',
  },
  otherFormat: {
    code: 'KEYCHAIN_CORRUPT',
    says: '{path} was written by another version of regcredd (format {format})',
    remedy: 'start that version',
  },
  // Both
  emptied: {
    code: 'KEYCHAIN_UNAVAILABLE',
    says: '{what} held credentials when it was last read, and now it is as if it had never been',
    remedy: 'bring it back; or stop regcredd and restore a backup, or begin anew as docs/keychain.md says',
  },
  malformed: {
    code: 'KEYCHAIN_CORRUPT',
    says: '{where} does not have the required form',
    remedy: "restore it from a backup, or remove it with the keychain's own tool and log in again",
  },
  newer: {
    code: 'KEYCHAIN_CORRUPT',
    says: '{where} was written by a newer version of regcredd',
    remedy: 'start that version again',
  },
} as const satisfies Record<string, Fault>

export type FaultName = keyof typeof faults

/** The error of a fault; `words` fill its braces and must be safe to show. */
export function fault(name: FaultName, words: Record<string, string | number> = {}, cause?: unknown): RegcreddError {
  const { code, says, remedy } = faults[name]
  const text = `${says}; ${remedy}`.replace(/\{(\w+)\}/g, (_, word: string) => String(words[word] ?? ''))
  return new RegcreddError(code, text, { cause })
}

/** Does something to a file; what the system has against it becomes the fault `disk`. */
export async function atFileSystem<T>(path: string, done: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw fault('disk', { path, done, errno: errnoOf(cause) ?? 'unknown' }, cause)
  }
}
