import { RegcreddError } from '../errors.ts'
import {
  connectDbus,
  type DbusCall,
  type DbusConnection,
  decodeBooleanVariant,
  decodeString,
  encodeStrings,
  socketOf,
} from './dbus.ts'

const DESTINATION = 'org.freedesktop.secrets'
const NO_OBJECT = '/'
const ALIAS_ATTEMPTS = 3

/** Whether the keyring is locked. */
export type LockProbe = {
  /** Asks the keyring now. Throws KEYCHAIN_UNAVAILABLE when there is no telling, or none before `signal`. */
  ask(signal: AbortSignal): Promise<'locked' | 'unlocked'>
  close(): void
}

/** The address of the session bus, found as libdbus and GIO find it, without ever starting one. */
export function sessionBusAddress(environment: NodeJS.ProcessEnv): string | undefined {
  const address = environment['DBUS_SESSION_BUS_ADDRESS']
  if (address) return address
  const runtimeDir = environment['XDG_RUNTIME_DIR']
  return runtimeDir ? `unix:path=${encodeURI(runtimeDir)}/bus` : undefined
}

/**
 * Asks the Secret Service itself for the `Locked` property of its default collection: keytar says the same of an absent item
 * and of a locked keyring, and asking it may put a prompt before the user.
 * One connection serves all calls: gnome-keyring can crash when one that has just been made asks for something
 * (https://gitlab.gnome.org/GNOME/gnome-keyring/-/issues/195), and comes back locked.
 * Source: https://specifications.freedesktop.org/secret-service-spec/latest/
 */
export function createLockProbe(environment: NodeJS.ProcessEnv): LockProbe {
  const address = sessionBusAddress(environment)
  const socket = address === undefined ? undefined : socketOf(address)
  let connection: DbusConnection | undefined
  let connecting: Promise<DbusConnection> | undefined

  async function connected(socketPath: string, signal: AbortSignal): Promise<DbusConnection> {
    if (connection !== undefined && !connection.isClosed()) return connection
    connecting ??= connectDbus(socketPath, signal).finally(() => {
      connecting = undefined
    })
    connection = await connecting
    return connection
  }

  return {
    async ask(signal) {
      if (socket === undefined) {
        throw unavailable(
          'there is no session bus; set DBUS_SESSION_BUS_ADDRESS to one with a keyring, or use the store "file"',
        )
      }
      try {
        return await askLocked(await connected(socket, signal), signal)
      } catch (cause) {
        if (cause instanceof RegcreddError) throw cause
        if (signal.aborted)
          throw unavailable('the keyring did not answer in time; is its daemon stopped or overloaded?', cause)
        throw unavailable(
          'the session bus cannot be reached, or does not speak as it must; is it running, for this user?',
          cause,
        )
      }
    },
    close: () => connection?.close(),
  }
}

async function askLocked(connection: DbusConnection, signal: AbortSignal): Promise<'locked' | 'unlocked'> {
  const property = await ask(connection, signal, {
    path: await defaultCollection(connection, signal),
    interface: 'org.freedesktop.DBus.Properties',
    member: 'Get',
    signature: 'ss',
    body: encodeStrings('org.freedesktop.Secret.Collection', 'Locked'),
  })
  const locked = decodeBooleanVariant(property)
  if (locked === undefined) throw unavailable('the keyring does not tell whether it is locked')
  return locked ? 'locked' : 'unlocked'
}

/**
 * Always asked for before the property, as the bug above strikes the first request of a connection: this one is then answered
 * with "none" (1 of 10,000 with gnome-keyring 42), where the property would have ended the keyring.
 */
async function defaultCollection(connection: DbusConnection, signal: AbortSignal): Promise<string> {
  for (let attempt = 0; attempt < ALIAS_ATTEMPTS; attempt += 1) {
    const answer = await ask(connection, signal, {
      path: '/org/freedesktop/secrets',
      interface: 'org.freedesktop.Secret.Service',
      member: 'ReadAlias',
      signature: 's',
      body: encodeStrings('default'),
    })
    const path = decodeString(answer)
    if (path !== NO_OBJECT) return path
  }
  throw unavailable(
    'the keyring has no default collection; unlocking gnome-keyring-daemon for the first time makes one',
  )
}

async function ask(
  connection: DbusConnection,
  signal: AbortSignal,
  call: Omit<DbusCall, 'destination'>,
): Promise<Buffer> {
  const answer = await orAbort(connection.call({ destination: DESTINATION, ...call }), signal)
  if ('body' in answer) return answer.body
  if (answer.error === 'org.freedesktop.DBus.Error.ServiceUnknown') {
    throw unavailable('no keyring is on the session bus; is gnome-keyring-daemon (or another Secret Service) running?')
  }
  throw unavailable(`the keyring answered ${answer.error}`)
}

async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function unavailable(detail: string, cause?: unknown): RegcreddError {
  return new RegcreddError('KEYCHAIN_UNAVAILABLE', detail, { cause })
}
