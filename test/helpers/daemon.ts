import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { AuditRecord } from '../../src/audit/record.ts'
import { mainPath, type Outcome, type RunOptions, run } from '../cli/regcredd.ts'
import { freePort } from './free-port.ts'
import { type Ended, type ServerProcess, startServer } from './server-process.ts'

// biome-ignore lint/suspicious/noExplicitAny: each test knows the answer that it asks for
export type RestAnswer = { status: number; headers: IncomingMessage['headers']; body: any }

export type Daemon = {
  /** Everything that it has of its own: configuration, keychain, socket, audit. */
  folder: string
  pid: number
  /** `127.0.0.1:PORT` of the pull proxy. */
  proxy: string
  /** PORT of that; the same after a restart. */
  port(): number
  /** `http://127.0.0.1:PORT` of /healthz, /readyz and /metrics. */
  health: string
  socket: string
  configFile: string
  callerToken: string
  /** Its standard output and error so far. */
  log(): string
  cli(args: string[], options?: RunOptions): Promise<Outcome>
  rest(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<RestAnswer>
  audit(): Promise<AuditRecord[]>
  /** Waits until it ends, by itself or by a signal that the test sends to `pid`. */
  ended(): Promise<Ended>
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>
  /** Starts it again in the same folder, on the same ports. */
  start(): Promise<void>
  /** Stops it and removes its folder. */
  close(): Promise<void>
}

export type DaemonOptions = {
  /** `registries` of the configuration. */
  registries: object[]
  /** More of the configuration; replaces sections. */
  config?: Record<string, unknown>
  env?: NodeJS.ProcessEnv
  /** A command that starts the daemon: its own command line is appended, and its pid must stay the same (`exec "$@"`). HOME is the folder. */
  wrap?: string[]
  /** The program, where it is not the sources. */
  main?: string
}

/** What it does at its end is looked at, so it must come to it on a busy machine too. */
const STOP_WITHIN_MS = 30_000

/** Starts a real daemon as a process of its own, with a file keychain unless `config` says otherwise; every path lies in a temp folder. */
export async function startDaemon({
  registries,
  config = {},
  env = {},
  wrap = [],
  main = mainPath,
}: DaemonOptions): Promise<Daemon> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-daemon-'))
  for (const name of ['state', 'log', 'run']) await mkdir(join(folder, name), { mode: 0o700 })
  const keyFile = join(folder, 'keychain.key')
  await writeFile(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 })
  const socket = join(folder, 'run/admin.sock')
  const configFile = join(folder, 'config.json')
  const written = {
    registries,
    keychain: { store: 'file', path: join(folder, 'state/keychain.json'), keyFile },
    health: { listen: `127.0.0.1:${await freePort()}` },
    audit: { folder: join(folder, 'log') },
    rotation: { journal: join(folder, 'state/rotation.journal') },
    ...config,
    admin: { socket, tokensFile: join(folder, 'state/admin-tokens.json'), ...(config['admin'] as object) },
    proxy: {
      listen: `127.0.0.1:${await freePort()}`,
      callerTokenFile: join(folder, 'state/caller-token'),
      ...(config['proxy'] as object),
    },
  }
  await writeFile(configFile, JSON.stringify(written, undefined, 2))

  let server: ServerProcess | undefined
  let earlier = ''
  async function end(stop: (server: ServerProcess) => Promise<void>): Promise<void> {
    if (server !== undefined) await stop(server)
    earlier += server?.log() ?? ''
    server = undefined
  }
  const daemon: Daemon = {
    folder,
    pid: 0,
    proxy: '',
    health: '',
    socket,
    configFile,
    callerToken: '',
    port: () => Number(daemon.proxy.split(':')[1]),
    log: () => earlier + (server?.log() ?? ''),
    cli: (args, options = {}) =>
      run(args, { ...options, env: { REGCREDD_SOCKET: socket, REGCREDD_CONFIG: configFile, ...options.env } }),
    rest: (method, path, body, headers) => rest(socket, method, path, body, headers),
    audit: async () => {
      const lines = await readFile(join(folder, 'log/audit.jsonl'), 'utf8')
      return lines
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
    },
    async start() {
      const own = [process.execPath, main, 'serve', '--config', configFile]
      const [command = '', ...args] = [...wrap, ...own]
      server = await startServer({
        tool: { command, env: { PATH: process.env['PATH'], HOME: folder }, version: process.version },
        args,
        env,
        // What it might leave there, a core for one, is found and removed.
        cwd: folder,
        ready: /"proxy":"([^"]+)","health":(\d+).*"msg":"ready"/,
      })
      const [, proxy = '', health = ''] = server.ready
      daemon.pid = server.pid
      daemon.proxy = proxy
      daemon.health = `http://127.0.0.1:${health}`
      // There is none where no registry asks for it.
      daemon.callerToken = (await readFile(join(folder, 'state/caller-token'), 'utf8').catch(() => '')).trim()
      // The next start takes the same ports, as a real one does.
      await writeFile(
        configFile,
        JSON.stringify({
          ...written,
          proxy: { ...written.proxy, listen: proxy },
          health: { listen: `127.0.0.1:${health}` },
        }),
      )
    },
    async ended() {
      if (server === undefined) throw new Error('the daemon was not started')
      return server.ended
    },
    stop: () => end((server) => server.stopWithin(STOP_WITHIN_MS)),
    async kill() {
      if (server !== undefined) process.kill(server.pid, 'SIGKILL')
      await end(({ stop }) => stop())
    },
    async close() {
      await end(({ stop }) => stop())
      await rm(folder, { recursive: true, force: true })
    },
  }
  try {
    await daemon.start()
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  return daemon
}

/** Logs in with the command line, and throws with its words where that is refused. `more`: further arguments. */
export async function logIn(
  daemon: Pick<Daemon, 'cli'>,
  host: string,
  { username = 'ci', password }: { username?: string; password: string },
  ...more: string[]
): Promise<void> {
  const args = ['login', host, '--username', username, '--password-stdin', ...more]
  const { code, stderr } = await daemon.cli(args, { stdin: password })
  if (code !== 0) throw new Error(`login to ${host} failed: ${stderr}`)
}

async function rest(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<RestAnswer> {
  const request = httpRequest({ socketPath, method, path, headers: { 'content-type': 'application/json', ...headers } })
  request.end(body === undefined ? undefined : JSON.stringify(body))
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject)
  })
  const said = await text(answer)
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: said === '' ? undefined : JSON.parse(said) }
}
