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

/** Asks whether the keyring is locked. Throws KEYCHAIN_UNAVAILABLE when there is no telling. */
export type ProbeLock = (signal: AbortSignal) => Promise<'locked' | 'unlocked'>

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
 * Source: https://specifications.freedesktop.org/secret-service-spec/latest/
 */
export function probeSecretService(environment: NodeJS.ProcessEnv): ProbeLock {
  const address = sessionBusAddress(environment)
  const socket = address === undefined ? undefined : socketOf(address)
  return async (signal) => {
    if (socket === undefined) {
      throw unavailable(
        'there is no session bus; set DBUS_SESSION_BUS_ADDRESS to one with a keyring, or use the store "file"',
      )
    }
    let connection: DbusConnection | undefined
    try {
      connection = await connectDbus(socket, signal)
      return await askLocked(connection)
    } catch (cause) {
      if (cause instanceof RegcreddError) throw cause
      if (signal.aborted)
        throw unavailable('the keyring did not answer in time; is its daemon stopped or overloaded?', cause)
      throw unavailable('the session bus cannot be reached; is it running, for this user?', cause)
    } finally {
      connection?.close()
    }
  }
}

async function askLocked(connection: DbusConnection): Promise<'locked' | 'unlocked'> {
  const alias = await ask(connection, {
    destination: DESTINATION,
    path: '/org/freedesktop/secrets',
    interface: 'org.freedesktop.Secret.Service',
    member: 'ReadAlias',
    signature: 's',
    body: encodeStrings('default'),
  })
  const collection = decodeString(alias)
  if (collection === NO_OBJECT) {
    throw unavailable('the keyring has no default collection; unlocking it for the first time makes one')
  }
  const property = await ask(connection, {
    destination: DESTINATION,
    path: collection,
    interface: 'org.freedesktop.DBus.Properties',
    member: 'Get',
    signature: 'ss',
    body: encodeStrings('org.freedesktop.Secret.Collection', 'Locked'),
  })
  const locked = decodeBooleanVariant(property)
  if (locked === undefined) throw unavailable('the keyring does not tell whether it is locked')
  return locked ? 'locked' : 'unlocked'
}

async function ask(connection: DbusConnection, call: DbusCall): Promise<Buffer> {
  const answer = await connection.call(call)
  if ('body' in answer) return answer.body
  if (answer.error === 'org.freedesktop.DBus.Error.ServiceUnknown') {
    throw unavailable('no keyring is on the session bus; is gnome-keyring-daemon (or another Secret Service) running?')
  }
  throw unavailable(`the keyring answered ${answer.error}`)
}

function unavailable(detail: string, cause?: unknown): RegcreddError {
  return new RegcreddError('KEYCHAIN_UNAVAILABLE', detail, { cause })
}
