import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectDbus, encodeStrings } from '../../src/keychain/dbus.ts'
import { createLockProbe, type LockProbe } from '../../src/keychain/secret-service.ts'
import { startServer } from './server-process.ts'
import { needTool, skipWithout } from './tools.ts'

/** For a test's `skip`: false when the keyring's programs and a built keytar are there. In CI nothing skips: there it throws. */
export function skipWithoutKeyring(): false | string {
  const missing = skipWithout('dbus-daemon', 'gnome-keyring-daemon')
  if (missing !== false) return missing
  if (existsSync(new URL('../../node_modules/keytar/build/Release/keytar.node', import.meta.url))) return false
  const reason = 'keytar: not built; node test/setup.mjs test does it'
  if (process.env['CI'] === 'true') throw new Error(`CI skips nothing: ${reason}`)
  return reason
}

const PASSWORD = 'the keyring of a test'
const READY_WITHIN_MS = 60_000

export type Keyring = {
  /** Environment by which a client finds it: bus, home, runtime folder. */
  env: NodeJS.ProcessEnv
  /** Folder of its .keyring files. */
  folder: string
  lock(): Promise<void>
  unlock(): Promise<void>
  /** Stops it with SIGSTOP, so that it hangs; `resume` lets it go on. */
  stop(): void
  resume(): void
  /** kill -9. The bus stays. */
  kill(): Promise<void>
  /** After `kill`: unlocked. */
  start(): Promise<void>
  /** After `kill`: given a wrong password, of which it says nothing; it stays locked. */
  startWithWrongPassword(): Promise<void>
  /** Ends the bus; the keyring ends with it. */
  killBus(): Promise<void>
  /** After `killBus`: a new one at the same address, with the keyring on it, unlocked. */
  startBus(): Promise<void>
  /** After `kill`: with no keyring on disk and no password, as where nobody has logged in yet. */
  startEmpty(): Promise<void>
  close(): Promise<void>
}

/** A real gnome-keyring-daemon, unlocked, on a bus of its own; nothing of the user's session is touched. */
export async function startKeyring(): Promise<Keyring> {
  const root = await mkdtemp(join(tmpdir(), 'regcredd-keyring-'))
  const folders = { home: join(root, 'home'), runtime: join(root, 'run'), data: join(root, 'data') }
  for (const folder of Object.values(folders)) await mkdir(folder, { mode: 0o700 })
  const address = `unix:path=${join(root, 'bus')}`
  let bus = await startBus(root, address)
  const env = {
    PATH: process.env['PATH'],
    HOME: folders.home,
    XDG_RUNTIME_DIR: folders.runtime,
    XDG_DATA_HOME: folders.data,
    DBUS_SESSION_BUS_ADDRESS: address,
  }
  const probe = createLockProbe(env)
  let daemon: ChildProcess

  async function startWith(password: string, wanted: RegExp): Promise<void> {
    daemon = run(env, ['--foreground', '--unlock', '--components=secrets'])
    daemon.stdin?.end(password)
    await until(probe, wanted)
  }

  const start = () => startWith(PASSWORD, /^unlocked$/)

  async function kill(): Promise<void> {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return
    const exit = once(daemon, 'exit')
    daemon.kill('SIGKILL')
    await exit
  }

  async function close(): Promise<void> {
    probe.close()
    await kill()
    await bus.stop()
    await rm(root, { recursive: true, force: true })
  }

  try {
    await start()
  } catch (error) {
    await close()
    throw error
  }
  return {
    env,
    folder: join(folders.data, 'keyrings'),
    start,
    async startEmpty() {
      await rm(join(folders.data, 'keyrings'), { recursive: true })
      daemon = run(env, ['--foreground', '--components=secrets'])
      await until(probe, /no default collection/)
    },
    startWithWrongPassword: () => startWith('a wrong password', /^locked$/),
    async killBus() {
      await bus.stop()
      await kill()
    },
    async startBus() {
      bus = await startBus(root, address)
      await start()
    },
    kill,
    async lock() {
      await lockCollection(join(root, 'bus'))
      await until(probe, /^locked$/)
    },
    async unlock() {
      await unlockAsPamDoes(join(folders.runtime, 'keyring', 'control'))
      await until(probe, /^unlocked$/)
    },
    stop: () => void daemon.kill('SIGSTOP'),
    resume: () => void daemon.kill('SIGCONT'),
    close,
  }
}

/** The bus knows no services to start by itself: what is not running is not there. */
async function startBus(root: string, address: string) {
  const config = join(root, 'bus.conf')
  await writeFile(
    config,
    `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>${address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
`,
  )
  return startServer({
    tool: needTool('dbus-daemon'),
    args: [`--config-file=${config}`, '--nofork', '--nopidfile', '--print-address'],
    ready: /unix:path=/,
  })
}

function run(env: NodeJS.ProcessEnv, args: string[]): ChildProcess {
  const tool = needTool('gnome-keyring-daemon')
  const child = spawn(tool.command, args, { env: { ...tool.env, ...env }, stdio: ['pipe', 'ignore', 'ignore'] })
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  return child
}

/** Waits until the keyring, asked over and over, answers like this; an error counts by its message. */
async function until(probe: LockProbe, wanted: RegExp): Promise<void> {
  const signal = AbortSignal.timeout(READY_WITHIN_MS)
  let last: unknown
  while (!signal.aborted) {
    last = await probe.ask(signal).catch((error: unknown) => error)
    if (wanted.test(String(last))) return
    await sleep(20)
  }
  throw new Error(`the keyring does not say ${wanted} after ${READY_WITHIN_MS} ms: ${last}`)
}

/**
 * What pam_gnome_keyring sends to the running daemon (gnome-keyring's daemon/control); `gnome-keyring-daemon --unlock`
 * would start a second one beside it. Integers are big-endian: length of all, operation, length of the password.
 */
async function unlockAsPamDoes(controlSocket: string): Promise<void> {
  const unlock = 1
  const password = Buffer.from(PASSWORD)
  const head = Buffer.alloc(12)
  head.writeUInt32BE(head.length + password.length, 0)
  head.writeUInt32BE(unlock, 4)
  head.writeUInt32BE(password.length, 8)
  const socket = connect(controlSocket)
  // The first byte carries the caller's credentials, and nothing else may come with it.
  socket.write(Buffer.alloc(1))
  await once(socket, 'connect')
  socket.write(Buffer.concat([head, password]))
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  if (answer.readUInt32BE(4) !== 0) throw new Error(`the keyring refused to unlock: ${answer.readUInt32BE(4)}`)
}

async function lockCollection(socket: string): Promise<void> {
  const connection = await connectDbus(socket, AbortSignal.timeout(READY_WITHIN_MS))
  const service = {
    destination: 'org.freedesktop.secrets',
    path: '/org/freedesktop/secrets',
    interface: 'org.freedesktop.Secret.Service',
  }
  // The first request of a connection may be the one that gnome-keyring stumbles over (secret-service.ts); this one it survives.
  await connection.call({ ...service, member: 'ReadAlias', signature: 's', body: encodeStrings('default') })
  const paths = encodeStrings('/org/freedesktop/secrets/collection/login')
  const length = Buffer.alloc(4)
  length.writeUInt32LE(paths.length)
  const answer = await connection.call({
    ...service,
    member: 'Lock',
    signature: 'ao',
    body: Buffer.concat([length, paths]),
  })
  connection.close()
  if ('error' in answer) throw new Error(answer.error)
}
