import { createHash } from 'node:crypto'
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
import { fault } from './faults.ts'

const DESTINATION = 'org.freedesktop.secrets'
const NO_OBJECT = '/'
const ALIAS_ATTEMPTS = 3

/** Whether the keyring is locked, and who may use a service name in it. */
export type LockProbe = {
  /** Asks the keyring now. Throws KEYCHAIN_UNAVAILABLE when there is no telling, or none before `signal`. */
  ask(signal: AbortSignal): Promise<'locked' | 'unlocked'>
  /**
   * Makes the items of a service ours alone for as long as the connection lives; may be asked again at any time.
   * Throws KEYCHAIN_UNAVAILABLE while another process on the bus has them.
   */
  claim(service: string, signal: AbortSignal): Promise<void>
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
  let claimed = new Set<string>()

  async function connected(socketPath: string, signal: AbortSignal): Promise<DbusConnection> {
    if (connection !== undefined && !connection.isClosed()) return connection
    connecting ??= connectDbus(socketPath, signal).finally(() => {
      connecting = undefined
    })
    const made = await connecting
    // The bus forgets its names with the connection.
    if (made !== connection) claimed = new Set()
    connection = made
    return connection
  }

  async function onBus<T>(signal: AbortSignal, work: (connection: DbusConnection) => Promise<T>): Promise<T> {
    if (socket === undefined) throw fault('noBus')
    try {
      return await work(await connected(socket, signal))
    } catch (cause) {
      if (cause instanceof RegcreddError) throw cause
      throw fault(signal.aborted ? 'silent' : 'busGone', {}, cause)
    }
  }

  return {
    ask: (signal) => onBus(signal, (bus) => askLocked(bus, signal)),
    claim: (service, signal) =>
      onBus(signal, async (bus) => {
        if (claimed.has(service)) return
        await requestName(bus, service, signal)
        claimed.add(service)
      }),
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
  if (locked === undefined) throw fault('odd', { answer: 'without telling whether it is locked' })
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
  throw fault('noCollection')
}

/**
 * Takes a name on the bus that stands for the service's items: whoever shares the bus shares the keyring, and the bus gives the name
 * back when a process dies. Source: D-Bus specification § Bus names, RequestName.
 */
async function requestName(connection: DbusConnection, service: string, signal: AbortSignal): Promise<void> {
  const doNotQueue = 4
  const owners = [1, 4]
  const digest = createHash('sha256').update(service).digest('hex').slice(0, 32)
  const name = encodeStrings(`io.regcredd.Keychain.s${digest}`)
  const flags = Buffer.alloc(Math.ceil(name.length / 4) * 4 - name.length + 4)
  flags.writeUInt32LE(doNotQueue, flags.length - 4)
  const answer = await orAbort(
    connection.call({
      destination: 'org.freedesktop.DBus',
      path: '/org/freedesktop/DBus',
      interface: 'org.freedesktop.DBus',
      member: 'RequestName',
      signature: 'su',
      body: Buffer.concat([name, flags]),
    }),
    signal,
  )
  if ('error' in answer) throw fault('odd', { answer: `${answer.error} when it was asked for a name on the bus` })
  if (!owners.includes(answer.body.readUInt32LE(0))) throw fault('otherDaemon', { service })
}

async function ask(
  connection: DbusConnection,
  signal: AbortSignal,
  call: Omit<DbusCall, 'destination'>,
): Promise<Buffer> {
  const answer = await orAbort(connection.call({ destination: DESTINATION, ...call }), signal)
  if ('body' in answer) return answer.body
  if (answer.error === 'org.freedesktop.DBus.Error.ServiceUnknown') {
    throw fault('noKeyring')
  }
  throw fault('odd', { answer: answer.error })
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
